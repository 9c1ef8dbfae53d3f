"""Shared by workflows that train models: the plan, training, run directories."""
