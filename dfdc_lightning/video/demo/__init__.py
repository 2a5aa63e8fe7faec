"""Procedural talking heads and their face swaps, rendered as real videos in DFDC's own layout."""

from dfdc_lightning.video.demo.folder import DemoError, Ellipse, Plan, read_swaps, render

__all__ = ["DemoError", "Ellipse", "Plan", "read_swaps", "render"]
