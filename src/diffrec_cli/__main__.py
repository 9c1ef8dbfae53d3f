"""Entry point of ``diffrec`` and ``python -m diffrec_cli``."""

import os
import sys
from contextlib import suppress


def main() -> None:
    """Run the command line and leave with its exit code."""
    from diffrec_cli.cli._streams import open_streams

    open_streams()
    # Let waiting threads of torch sleep soon, and set it before torch is loaded. GNU OpenMP's long
    # spinning makes training 1.5 to 3 times slower on a busy machine; this costs an idle one 2%.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from diffrec_cli.memory import fit_into_limits

    fit_into_limits()
    from diffrec_cli.cli.app import run
    from diffrec_cli.errors import UsageError

    code = run(sys.argv[1:])
    with suppress(UsageError, OSError):  # after another error or a signal, which has been told
        sys.stdout.flush()
    sys.exit(code)


if __name__ == "__main__":
    main()
