"""Many runs by one command: planned, each in a process of its own, summed up in a table."""

from dfdc_lightning.sweep.isolation import isolated

__all__ = ["isolated"]
