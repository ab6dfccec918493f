"""Models: finding and checking them, tokenizing, one forward pass for many heads."""
