"""Shared by workflows that make lists: histories, filters, tables."""
