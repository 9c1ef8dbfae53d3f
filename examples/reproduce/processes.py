"""One, two and four processes: the losses of 20 updates, and the lists of all users.

Every model is fitted with the same seed by one process, then by several, with users split, items
split, and both. Printed are the largest difference of a loss from that of one process, and the
share of users with the same list.

    python processes.py [DATASET]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from diffrec_cli.registry import versions

UPDATES = 20
GRIDS = {(1, 1): 1, (2, 1): 2, (1, 2): 2, (4, 1): 4, (1, 4): 4, (2, 2): 4}  # users, items
VARIANTS = {
    "t+masking": {},
    "base+smoothing": {},
    "base": {"dims": "64", "step_sampling": "importance"},
    "l": {"C": "2", "dims": "32", "z_dim": "32", "encoder_dims": "64", "warmup": "none"},
}
K = 20


def fit(data: str, variant: str, grid: tuple[int, int], form: str) -> tuple[np.ndarray, str]:
    """Return the loss of each update, and the reference of the model."""
    settings = {
        **VARIANTS[variant],
        "epoch_updates": "1",
        "eval_every": str(UPDATES),
        "batch_size": "200",
        "loss_form": form,
    }
    if variant == "t+masking":
        del settings["loss_form"]
    name = f"processes-{variant.replace('+', '-')}-{form}-{grid[0]}x{grid[1]}"
    command = ["fit", data, "-v", variant, "--epochs", str(UPDATES), "--name", name]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    if GRIDS[grid] == 1:
        program = [sys.executable, "-m", "diffrec_cli"]
    else:
        program = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node"]
        program += [str(GRIDS[grid]), "--standalone", "-m", "diffrec_cli"]
        command += ["--item-ranks", str(grid[1])]
    done = subprocess.run(
        [*program, *command, "--precision", "fp32", "--device", "cpu", "-q"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    reference = done.stdout.strip().splitlines()[-1]
    log = versions.resolve(reference).epoch_log()
    return np.array([entry["loss"] for entry in log]), reference


def lists(reference: str, directory: Path) -> pd.DataFrame:
    """Return the lists of all users, a row a user."""
    path = directory / "lists.csv"
    program = [sys.executable, "-m", "diffrec_cli", "recommend", "--model", reference]
    subprocess.run([*program, "--all-users", "-k", str(K), "-o", str(path), "-q"], check=True)
    found = pd.read_csv(path, dtype=str)
    return found.groupby("user")["item"].agg(list)


def main() -> None:
    """Print a line for each model, form of its loss, and grid."""
    data = sys.argv[1] if len(sys.argv) > 1 else "s"
    print(f"{'model':<16}{'form':<9}{'users x items':<15}{'loss':>9}  lists")
    for variant in VARIANTS:
        for form in ("auto",) if variant == "t+masking" else ("scores", "compact"):
            with TemporaryDirectory() as directory:
                alone, reference = fit(data, variant, (1, 1), form)
                wanted = lists(reference, Path(directory))
                for grid in list(GRIDS)[1:]:
                    losses, reference = fit(data, variant, grid, form)
                    found = lists(reference, Path(directory))
                    apart = np.abs(losses - alone).max()
                    same = np.mean([a == b for a, b in zip(found, wanted, strict=True)])
                    where = f"{grid[0]} x {grid[1]}"
                    print(f"{variant:<16}{form:<9}{where:<15}{apart:9.1e}  {same:.2%}", flush=True)


if __name__ == "__main__":
    main()
