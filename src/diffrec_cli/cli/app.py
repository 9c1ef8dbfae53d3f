"""The program ``diffrec``: its commands, errors and signals."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from diffrec_cli import __version__
from diffrec_cli.cli import _shells as shells
from diffrec_cli.cli import (
    backtest,
    compare,
    config,
    data,
    doctor,
    eval,
    export,
    fit,
    forget,
    models,
    prepare,
    quickstart,
    recommend,
    report,
    serve,
    similar,
    tune,
    update,
)
from diffrec_cli.cli._config_file import load_defaults
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._options import REFITS
from diffrec_cli.cli._output import screen
from diffrec_cli.cli._streams import require_stdout
from diffrec_cli.errors import (
    DeviceError,
    DiffrecError,
    DistributedError,
    NotFoundError,
    StorageError,
    UsageError,
)
from diffrec_cli.launch import launched
from diffrec_cli.paths import home
from diffrec_cli.system_errors import refusal
from diffrec_cli.transactions import finish_interrupted

INTERRUPTED, BROKEN_PIPE = 130, 141
_BY_SIGNAL = 128  # shells add it to the signal's number
_AT_ONCE = 1.0  # seconds between signals that tell the same

app = typer.Typer(
    name="diffrec",
    help="Top-K recommendations from rating logs with diffusion models"
    " (DiffRec, L-DiffRec, T-DiffRec, LT-DiffRec).",
    epilog=examples(
        "diffrec quickstart  # new here? a tour in a minute",
        "diffrec fit ratings.csv --variant t",
        "diffrec recommend --user 42 -k 20",
        "diffrec --install-completion  # TAB completes commands, models and datasets",
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("quickstart", epilog=quickstart.EXAMPLES)(quickstart.quickstart)
app.command("prepare", epilog=prepare.EXAMPLES)(prepare.prepare)
app.command("fit", epilog=fit.EXAMPLES)(fit.fit)
app.command("eval", epilog=eval.EXAMPLES)(eval.evaluate)
app.command("compare", epilog=compare.EXAMPLES)(compare.compare)
app.command("backtest", epilog=backtest.EXAMPLES)(backtest.backtest)
app.command("tune", epilog=tune.EXAMPLES)(tune.tune)
app.command("recommend", epilog=recommend.EXAMPLES)(recommend.recommend)
app.command("serve", epilog=serve.EXAMPLES)(serve.serve)
app.command("similar", epilog=similar.EXAMPLES)(similar.similar)
app.command("report", epilog=report.EXAMPLES)(report.report)
app.command("update", epilog=update.EXAMPLES)(update.update)
app.command("forget", epilog=forget.EXAMPLES)(forget.forget)
app.command("export", epilog=export.EXAMPLES)(export.export)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(config.app, name="config")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"diffrec {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No notes or progress on stderr.")
    ] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours anywhere.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Handle the program's own options."""
    with suppress(DiffrecError) if context.obj is PRINTS else nullcontext():
        context.default_map = load_defaults(context.command)


#: Commands that several processes carry out together.
PARALLEL = ("fit", "eval", "recommend")
#: Options that print instead of doing something.
_PRINTED_ALONE = {"--help", "-h", "--version", "--show-completion"}
#: Tells the program's own options that one of these is there: no home is needed.
PRINTS = "prints"
#: Options of the program that may also follow the command.
ANYWHERE = {"--quiet": "quiet", "-q": "quiet", "--no-color": "no_color", "--debug": "debug"}


def run(arguments: Sequence[str]) -> int:
    """Run a command line, without the program's name, and return its exit code."""
    flags, rest = _split_anywhere(with_refit_values(arguments))
    asked_for = {"quiet": "quiet" in flags, "no_color": "no_color" in flags}
    screen.configure(**asked_for)
    rank, debug = 0, "debug" in flags
    prints = not _PRINTED_ALONE.isdisjoint(rest)
    ending = _watch_signals()
    try:
        rank, ranks = launched()
        screen.configure(**asked_for, only_errors=rank > 0)
        if asked := os.environ.get(shells.ASKED):
            return shells.answer(app, asked)
        if prints:
            require_stdout()
        if ranks > 1:
            _join(rest, rank)
        if not prints and rest[:1] != ["doctor"]:  # which tells why it cannot be finished
            finish_interrupted(home())
        code = app(rest, prog_name="diffrec", standalone_mode=False, obj=PRINTS if prints else None)
        sys.stdout.flush()
        screen.close()
        if code == INTERRUPTED:
            return ending()
        return code if isinstance(code, int) else 0
    except DiffrecError as error:
        if rank > 0 and not _is_of_this_machine(error):
            return error.exit_code  # the first process says the same
        return _fail(error.what, error.fix, error.exit_code, error, debug)
    except typer.TyperException as error:
        if rank > 0:
            return error.exit_code
        return _fail_usage(error, debug)
    except (typer.Abort, KeyboardInterrupt):
        screen.close()
        return ending()
    except BrokenPipeError:
        return BROKEN_PIPE
    except Exception as error:
        if isinstance(error, OSError) and "--install-completion" in rest:  # typer's own writing
            what = f"cannot write {error.filename}: {error.strerror}"
            return _fail(what, "--show-completion prints what the shell loads", 2, error, debug)
        if (refused := refusal(error, verb="use")) is not None:
            return _fail(refused.what, refused.fix, refused.exit_code, error, debug)
        what = f"internal error: {error.__class__.__name__}: {error}"
        return _fail(what, "this is a bug; --debug shows where", 1, error, debug)


def _join(arguments: Sequence[str], rank: int) -> None:
    """Refuse what one process does alone, and let the first process alone write to stdout."""
    if not {*arguments[:1]} & {*PARALLEL, "--help"}:
        raise UsageError(
            f"diffrec {' '.join(arguments[:1])} runs in one process".replace("  ", " "),
            f"leave torchrun out; it is for {', '.join(PARALLEL)}",
        )
    if rank > 0:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # until the end


def _is_of_this_machine(error: DiffrecError) -> bool:
    """Return whether other processes may not have an error."""
    alike = isinstance(error, DistributedError | NotFoundError)
    return isinstance(error, DeviceError | StorageError) and not alike


def with_refit_values(arguments: Sequence[str]) -> list[str]:
    """Give each ``--refit`` its value, which may be left out; Typer has no such options.

    Examples
    --------
    >>> with_refit_values(["fit", "--refit", "shop.csv"])
    ['fit', '--refit=all', 'shop.csv']
    >>> with_refit_values(["fit", "--refit", "train+valid"])
    ['fit', '--refit', 'train+valid']
    """
    return [
        f"{word}={REFITS[0]}" if word == "--refit" and after not in REFITS else word
        for word, after in zip(arguments, [*arguments[1:], ""], strict=False)
    ]


def _split_anywhere(arguments: Sequence[str]) -> tuple[set[str], list[str]]:
    """Take the options of :data:`ANYWHERE` out of the arguments, up to a ``--``."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    head = arguments[:end]
    flags = {ANYWHERE[argument] for argument in head if argument in ANYWHERE}
    rest = [argument for argument in head if argument not in ANYWHERE]
    return flags, [*rest, *arguments[end:]]


def _fail(what: str, fix: str, code: int, error: BaseException, debug: bool) -> int:
    screen.close()
    if debug:
        screen.traceback(error)
    screen.error(what, fix)
    return code


def _fail_usage(error: typer.TyperException, debug: bool) -> int:
    """Print an error of the parser like all other errors."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "diffrec"
    message = error.format_message().strip()
    if not message and context is not None:  # a group without a command shows its help
        print(context.get_help(), file=sys.stderr)
        return error.exit_code
    what = " ".join(message.split())
    return _fail(what, f"see `{command} --help`", error.exit_code, error, debug)


class _Ended(KeyboardInterrupt):
    """A signal ends the program, and all that handles Ctrl-C handles it.

    Its class is not Ctrl-C's own: Python ends by SIGINT, whatever the program says, if that one
    has passed through code that was made from text, as the methods of dataclasses are.
    """


def _watch_signals() -> Callable[[], int]:
    """End quietly at a closed pipe and treat SIGTERM and SIGHUP as Ctrl-C.

    Returns a function that gives the exit code of an interruption, by the signal. A terminal that
    closes sends several at once: only the first interrupts, or the others would end the cleaning.
    """
    received: list[tuple[int, float]] = []

    def terminate(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        received.append((number, now))
        if len(received) == 1 or now - received[-2][1] > _AT_ONCE:
            raise _Ended

    if hasattr(signal, "SIGPIPE"):  # not on Windows
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, terminate)
    signal.signal(signal.SIGTERM, terminate)
    return lambda: _BY_SIGNAL + received[0][0] if received else INTERRUPTED
