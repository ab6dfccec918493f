"""Tokenizers with exact character offsets, and prompts before a text."""
