"""Training of heads on hidden states that are computed once."""
