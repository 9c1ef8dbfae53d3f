"""``diffrec config``: the configuration file."""

from __future__ import annotations

import typer

from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen, filled, flat, make_table, print_line, report
from diffrec_cli.cli._streams import require_stdout

app = typer.Typer(
    help="Show the configuration file.",
    epilog=examples("diffrec config path", "diffrec config show"),
    no_args_is_help=True,
)


@app.command(
    "path",
    epilog=examples(
        "diffrec config path",
        '${EDITOR:-vi} "$(diffrec config path)"',
    ),
)
def path() -> None:
    """Print the path of the configuration file, even if there is none."""
    from diffrec_cli.paths import config_file

    require_stdout()
    print_line(config_file())


@app.command(
    "show",
    epilog=examples(
        "diffrec config show",
        "diffrec config show --format json | jq .defaults",
    ),
)
def show(context: typer.Context, form: o.FormatOption = None) -> None:
    """Show the defaults that the configuration file sets."""
    from diffrec_cli.paths import config_file

    require_stdout()
    defaults = context.find_root().default_map or {}
    payload = {"path": str(config_file()), "defaults": defaults}
    report(
        chosen(form, piped="json"),
        payload=payload,
        rows=[flat(defaults)],
        table=lambda: filled(make_table("option", "default"), flat(defaults).items()),
    )
