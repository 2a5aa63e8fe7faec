"""Video files: list, fetch, decode."""
