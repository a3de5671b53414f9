"""Depth ≥ 3: block-coordinate Frank-Wolfe, a proven gap for each hidden layer given its neighbours."""
