"""Run folders, and where configuration becomes objects: with `sweep/` the only package that knows Hydra."""

from dfdc_lightning.runs.command import command, one_sentence, words
from dfdc_lightning.runs.run import Run
from dfdc_lightning.runs.settings import check_values, differences, result_settings, say_how_to_watch

__all__ = [
    "Run",
    "check_values",
    "command",
    "differences",
    "one_sentence",
    "result_settings",
    "say_how_to_watch",
    "words",
]
