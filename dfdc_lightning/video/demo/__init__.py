"""Procedural talking heads and their face swaps, rendered as real videos in DFDC's own layout."""

from dfdc_lightning.video.demo.folder import read_swaps, render
from dfdc_lightning.video.demo.plan import DemoError, Plan
from dfdc_lightning.video.demo.swap import Ellipse

__all__ = ["DemoError", "Ellipse", "Plan", "read_swaps", "render"]
