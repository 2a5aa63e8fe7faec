"""Procedural talking heads and their face swaps, rendered as real videos in DFDC's own layout."""

from dfdc_lightning.demo.folder import DemoError, Plan, read_swaps, render
from dfdc_lightning.demo.swap import Ellipse

__all__ = ["DemoError", "Ellipse", "Plan", "read_swaps", "render"]
