"""The mathematics of corruptions and their reversal, without data or files."""
