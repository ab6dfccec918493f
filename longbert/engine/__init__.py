"""From inputs to committed tables and index, in one process, without Beam."""
