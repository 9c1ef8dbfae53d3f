"""Models: what learns, what scores. They know arrays and nothing of files."""
