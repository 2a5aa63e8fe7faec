"""Detectors: faces in, logits out, one shared evaluation."""
