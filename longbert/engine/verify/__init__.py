"""Checking a finished output: files, accounting, rows, index, sources, and bits."""
