"""Talking heads and forgeries with known cues, rendered as real videos in DFDC's own layout."""

from dfdc_lightning.demo.cues import Ellipse
from dfdc_lightning.demo.folder import DemoError, DemoPlan, read_swaps, render

__all__ = ["DemoError", "Ellipse", "DemoPlan", "read_swaps", "render"]
