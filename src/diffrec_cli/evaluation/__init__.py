"""Metrics of top-K lists, groups of users and items, and significance."""
