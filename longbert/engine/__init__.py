"""From inputs to committed tables and index, in one process; the plain twin of the pipeline."""
