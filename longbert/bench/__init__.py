"""How fast longbert is here: its runs, its stages, and the limit of the machine."""
