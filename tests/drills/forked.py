"""Commands in forks of a process that has imported what they need, which saves most of the time."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from tempfile import TemporaryFile

from tests.drills.shop import Ending, Shop

_IMPORTED = (
    "diffrec_cli.cli.app",
    "diffrec_cli.training.loop",
    "diffrec_cli.workflows.fit_model",
    "diffrec_cli.workflows.recommend_lists",
    "diffrec_cli.workflows.check_installation",
    "diffrec_cli.workflows.prepare_data",
    "diffrec_cli.workflows.report_model",
    "filelock",
    "pandas",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "safetensors.numpy",
    "scipy.sparse",
)


class Fork:
    """A command in a fork.

    Parameters
    ----------
    shop, command
        As for :meth:`~drills.shop.Shop.run`.
    before
        Called in the fork, before the command.
    """

    def __init__(
        self, shop: Shop, command: str, before: Callable[[], object] | None = None
    ) -> None:
        for module in _IMPORTED:  # here, and not yet computing: threads would not survive a fork
            importlib.import_module(module)
        self.command = command
        self._out, self._err = TemporaryFile(), TemporaryFile()  # noqa: SIM115  # until the end
        self.pid = os.fork()
        if self.pid == 0:
            self._run(shop, before)

    def _run(self, shop: Shop, before: Callable[[], object] | None) -> None:
        from diffrec_cli.cli.app import run

        code = 1
        try:
            os.setpgid(0, 0)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(self._out.fileno(), 1)
            os.dup2(self._err.fileno(), 2)
            os.chdir(shop.root)
            os.environ |= {"DIFFREC_HOME": str(shop.home), "MPLCONFIGDIR": str(shop.root)}
            if before is not None:
                before()
            code = run(shop.words(self.command))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def ended(self) -> Ending:
        """Wait for its end; its code is negative if a signal ended it."""
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (self._out, self._err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
            file.close()
        return Ending(self.command, code, *texts)
