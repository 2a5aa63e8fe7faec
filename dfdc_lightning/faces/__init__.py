"""Faces: find them, follow one person, crop, keep the crops in a cache."""
