"""The mathematics of corruption and its reversal: no data, no files."""
