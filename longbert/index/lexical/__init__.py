"""Search for words: analysis of text, postings of a part, and ranking by them."""
