"""What every process that measures trials begins with."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence

from diffrec_cli.catalogue import Row, register


def begin_worker(catalogue: Sequence[Row]) -> None:
    """Make this process one that lives for its parent.

    The parent handles Ctrl-C. However it ends, with SIGKILL too, this process ends with it: it
    would go on for hours at full load, for no one.

    Parameters
    ----------
    catalogue
        The parent's, with what was added to it from outside the package.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    register(*catalogue)


def _end_with_parent() -> None:
    """Wait at a pipe whose other end only the parent has: any system closes it for the dead."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
