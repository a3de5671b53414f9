"""Oracles: find the neuron that lowers the loss most, and prove that there is none. See ladder.py."""
