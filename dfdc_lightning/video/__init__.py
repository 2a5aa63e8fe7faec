"""Video files: render, list, fetch, decode."""
