"""Ranking, metrics and their comparison."""
