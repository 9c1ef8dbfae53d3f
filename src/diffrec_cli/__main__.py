"""Entry point of ``diffrec`` and ``python -m diffrec_cli``."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from diffrec_cli.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
