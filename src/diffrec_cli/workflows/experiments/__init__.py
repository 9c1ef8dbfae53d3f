"""Shared by workflows that try many settings: trials, stored and run in processes."""
