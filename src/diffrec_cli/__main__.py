"""Entry point of ``diffrec`` and ``python -m diffrec_cli``."""

import os
import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Threads of torch that wait should spin briefly, then sleep: beside other busy processes GNU
    # OpenMP's long spinning makes training 1.5 to 3 times slower, and this costs an idle machine
    # some 2%. It must be said before torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from diffrec_cli.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
