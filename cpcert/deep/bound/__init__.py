"""Depth ≥ 3: a proven lower bound of the global minimum over networks of any widths."""
