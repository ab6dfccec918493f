"""The forward pass: token ids in, hidden states out. PyTorch is the first runtime."""
