"""Inputs and outputs: what to read, how bytes become text, and where files are written."""
