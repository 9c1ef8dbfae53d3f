"""Entry point of ``diffrec`` and ``python -m diffrec_cli``."""

import os
import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Let waiting threads of torch sleep soon, and set it before torch is loaded. GNU OpenMP's long
    # spinning makes training 1.5 to 3 times slower on a busy machine; this costs an idle one 2%.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from diffrec_cli.memory import fit_into_limits

    fit_into_limits()
    from diffrec_cli.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
