"""Where encoders and heads compute: memory, copies, and how many batches run at a time."""
