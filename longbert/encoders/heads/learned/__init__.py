"""Heads that longbert trains itself, on the hidden states of several layers."""
