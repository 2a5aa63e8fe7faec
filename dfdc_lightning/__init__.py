"""Raw DFDC videos in, a trustworthy table of results out."""
