"""Entry point of ``diffrec`` and ``python -m diffrec_cli``."""

import os
import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Threads that wait should sleep, not spin: beside other busy processes spinning makes torch
    # several times slower on the CPU. It must be said before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from diffrec_cli.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
