"""Logs that a user need not bring: made up, or public."""
