"""Filters: which documents may be found, said in a small language."""
