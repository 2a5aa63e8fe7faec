"""Places to watch a run from. Each mirrors the files of the run folder, which stay the truth."""
