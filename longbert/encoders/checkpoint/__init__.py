"""Checkpoints: where they lie, whether they are safe and whole, and what identifies them."""
