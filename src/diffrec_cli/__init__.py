"""The Diffusion Recommender Model as a command-line tool.

Importing this package imports nothing heavy; the Python API is
:mod:`diffrec_cli.workflows`.
"""

__version__ = "0.2.0"
