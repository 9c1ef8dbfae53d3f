"""Item graphs, in NumPy and SciPy alone: sparse operators from histories to scores."""
