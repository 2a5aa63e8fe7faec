"""The files of a run folder, which this package alone reads and writes, and what scores are worth."""
