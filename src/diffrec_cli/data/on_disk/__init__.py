"""Logs that are larger than memory: their rows are sorted by user on disk, and split in groups.

Why our own code and no database engine: what is sorted are integers, and NumPy's sort of one block
and slices of files are all that it takes. An engine (DuckDB, Polars) would read text by rules that
differ from those of :mod:`~diffrec_cli.data.reading`, so that dropped rows, notes and errors would
not be the same, and it would be one more dependency of every installation. Here a block is read,
and a group of users is split, by the very functions that do it for a whole log.
"""
