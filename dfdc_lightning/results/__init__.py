"""The files of a run folder, which this room alone reads and writes, and what scores are worth."""
