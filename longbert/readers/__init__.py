"""Inputs: which files there are, how bytes become text, and the documents in them."""
