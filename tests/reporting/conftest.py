"""A page is tested with a model that the command line has fitted."""

from tests.cli.conftest import _home_with_model, cli, fitted, restored_signals, sample

__all__ = ["_home_with_model", "cli", "fitted", "restored_signals", "sample"]
