"""The real command, with faults injected at every step that changes the output."""
