"""Models, in training and at inference. They work on arrays and know no files."""
