"""How well predictions agree with known answers: one definition for all commands."""
