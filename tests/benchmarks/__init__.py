"""Benchmarks: ratios of times measured side by side, not tests. See :mod:`.__main__`."""
