"""Training sweeps of networks of many widths, and where the plateau starts."""
