"""Heads: what turns the hidden states of windows into a task's output for a document."""
