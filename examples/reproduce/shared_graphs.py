"""The ridge of item graphs by one process, and by several: time, and memory of each.

python shared_graphs.py gowalla
torchrun --standalone --nproc-per-node 2 shared_graphs.py gowalla
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

from diffrec_cli.config import GraphSum
from diffrec_cli.data import store
from diffrec_cli.data.sequences import input_rows
from diffrec_cli.models.graph_parts import fit_parts
from diffrec_cli.training.distributed import arranged, connected
from diffrec_cli.workflows.fitting.shared_graphs import parts_by_all

SETTINGS = GraphSum(parts=("ridge",))


def anonymous() -> int:
    """Return the MB of this process that are no mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("RssAnon"))


def main() -> None:
    """Print a line for each process."""
    dataset = store.load(sys.argv[1])
    rows, n_items = input_rows(dataset.train, None), dataset.n_items
    with connected("cpu"):
        processes = arranged("cpu", 1)
        peaks, ended = [before := anonymous()], threading.Event()

        def watch() -> None:
            while not ended.wait(0.05):
                peaks.append(anonymous())

        threading.Thread(target=watch, daemon=True).start()
        started = time.perf_counter()
        if processes.ranks == 1:
            fit_parts(SETTINGS, rows, n_items, 1)
        else:
            run = processes.told(tempfile.mkdtemp() if processes.first else "")
            parts_by_all(SETTINGS, rows, n_items, 1, Path(run), processes)
        ended.set()
        took = time.perf_counter() - started
        of = f"{processes.rank + 1} of {processes.ranks}"
        print(f"process {of}: {took:.1f} s, {before} MB before, {max(peaks)} MB at most")


if __name__ == "__main__":
    main()
