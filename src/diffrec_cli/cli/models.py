"""``diffrec models``: stored models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _completion as completion
from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen, confirm, filled, flat, make_table, report, screen
from diffrec_cli.errors import UsageError

app = typer.Typer(
    help="List, show, rename, remove, export, import and verify models.",
    epilog=examples(
        "diffrec models ls", "diffrec models show shop", "diffrec models default shop@1"
    ),
    no_args_is_help=True,
)


@app.command(
    "ls",
    epilog=examples(
        "diffrec models ls",
        "diffrec models ls --format jsonl | jq -r 'select(.default).name'",
    ),
)
def ls(form: o.FormatOption = None) -> None:
    """List models; a star marks the default."""
    from diffrec_cli import workflows

    records = [_brief(model) for model in workflows.list_models()]
    report(
        chosen(form, piped="json"),
        payload={"models": records},
        rows=[flat(record) for record in records],
        table=lambda: filled(
            make_table("", "model", "variant", "dataset", ">valid r@20", ">MiB", "created", ""),
            (_row(record) for record in records),
        ),
    )
    if not records:
        screen.say("no models yet: make one with `diffrec fit`")


@app.command(
    "show",
    epilog=examples(
        "diffrec models show",
        "diffrec models show shop@1 --format json | jq .config",
    ),
)
def show(
    reference: o.OptionalModelArgument = None,
    form: o.FormatOption = None,
) -> None:
    """Show all that is recorded about a model."""
    from diffrec_cli import workflows

    record = workflows.show_model(reference)
    facts = flat({key: value for key, value in record.items() if key != "choice"})
    report(
        chosen(form, piped="json"),
        payload=record,
        rows=[facts],
        table=lambda: _shown(facts, record.get("choice") or {}),
    )


def _shown(facts: dict[str, Any], choice: dict[str, Any]) -> Any:
    """Return the facts of a model, and what ``auto`` tried if it chose it."""
    from rich.console import Group

    table = filled(make_table("field", "value"), facts.items())
    if not choice:
        return table
    tried = make_table("tried by auto", "valid", "seconds", "")
    rows = [
        (
            one["model"],
            f"{one['valid_recall@20']:.4f}",
            f"{one['seconds']:.0f}",
            _standing(one, choice),
        )
        for one in choice["tried"]
    ]
    rows += [(one["model"], "", "", f"failed: {one['why']}") for one in choice["failed"]]
    rows += [(name, "", "", "not tried") for name in choice["not_tried"]]
    return Group(table, filled(tried, rows))


def _standing(one: dict[str, Any], choice: dict[str, Any]) -> str:
    if one["model"] == choice["chosen"]:
        return "chosen"
    return "ahead" if one["ahead"] else "behind" if one["behind"] else "as good"


@app.command(
    "rm",
    epilog=examples(
        "diffrec models rm shop@1",
        "diffrec models rm shop --yes  # every version, without asking",
    ),
)
def rm(reference: o.ModelArgument, yes: o.YesOption = False) -> None:
    """Remove a version of a model; NAME alone removes all versions."""
    from diffrec_cli import workflows

    removed = workflows.remove_model(
        reference, confirm=lambda models: confirm(f"Remove {', '.join(models)}?", yes)
    )
    screen.say(f"removed {', '.join(removed.models)}")
    if removed.new_default:
        screen.say(f"the default model is now {removed.new_default}")


@app.command(
    "mv",
    epilog=examples(
        "diffrec models mv ratings-t shop",
        "diffrec models mv shop shop-2024",
    ),
)
def mv(
    old: Annotated[
        str, typer.Argument(help="Name of the model.", autocompletion=completion.model_names)
    ],
    new: Annotated[str, typer.Argument(help="Its new name.")],
) -> None:
    """Rename a model, with all its versions."""
    from diffrec_cli import workflows

    workflows.rename_model(old, new)
    screen.say(f"renamed {old} to {new}")


@app.command(
    "default",
    epilog=examples(
        "diffrec models default",
        "diffrec models default shop@1  # back to an earlier version",
    ),
)
def default(
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help=r"The new default. \[default: show it]",
            autocompletion=completion.models,
        ),
    ] = None,
) -> None:
    """Show or set the default model."""
    from diffrec_cli import workflows

    print(workflows.default_model(reference))


@app.command(
    "export",
    epilog=examples(
        "diffrec models export",
        "diffrec models export shop@1 backup/",
        "diffrec models export shop shop.tar --overwrite",
    ),
)
def export(
    reference: o.OptionalModelArgument = None,
    out: Annotated[
        Path, typer.Argument(help="A file, or a directory for NAME-VERSION.tar.")
    ] = Path(),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file.")] = False,
) -> None:
    """Write a model into one file, for another machine."""
    from diffrec_cli import workflows

    if str(out) == "-":
        raise UsageError("an archive is not written to stdout", "name a file or a directory")
    print(workflows.export_model(reference, out, overwrite=overwrite))


@app.command(
    "import",
    epilog=examples(
        "diffrec models import shop-1.tar",
        "diffrec models import shop-1.tar --name shop-copy",
    ),
)
def import_(
    archive: Annotated[Path, typer.Argument(help="A file that `models export` wrote.")],
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Store it under another name.")
    ] = None,
) -> None:
    """Store a model from a file, after checking it."""
    from diffrec_cli import workflows

    print(workflows.import_model(archive, name))


@app.command(
    "verify",
    epilog=examples(
        "diffrec models verify",
        "diffrec models verify shop@1 --format csv",
    ),
)
def verify(
    reference: o.OptionalModelArgument = None,
    form: o.FormatOption = None,
) -> None:
    """Check every file of a model against its recorded hash."""
    from diffrec_cli import workflows

    verified = workflows.verify_model(reference)
    payload = verified.to_dict()
    report(
        chosen(form, piped="json"),
        payload=payload,
        rows=payload["files"],
        table=lambda: filled(
            make_table("", "file", "found"),
            (("ok" if f["ok"] else "!!", f["path"], f["found"]) for f in payload["files"]),
        ),
    )
    verified.require_ok()


def _brief(model: Any) -> dict[str, Any]:
    brief = {
        "name": model.name,
        "version": model.version,
        "default": model.default,
        "bytes": model.size,
        "path": str(model.path),
    }
    if model.record is None:
        return {**brief, "error": model.error}
    record = model.record
    return {
        **brief,
        "variant": record.variant,
        "dataset": record.dataset["dataset"],
        "created": record.created,
        "complete": record.training.complete,
        "refit": record.training.refit,
        "trained_on": record.training.trained_on,
        "valid": dict(record.training.valid),
    }


def _row(record: dict[str, Any]) -> list[str]:
    star = "*" if record["default"] else ""
    size = f"{record['bytes'] / 2**20:.1f}"
    reference = f"{record['name']}@{record['version']}"
    if "error" in record:
        return [star, reference, "damaged", record["error"], "", size, "", ""]
    recall = record["valid"].get("recall@20")
    shown = "" if recall is None else f"{recall:.4f}"
    created = record["created"][:16].replace("T", " ")
    state = "" if record["complete"] else "interrupted"
    state = f"refit on {record['trained_on']}" if record["refit"] else state
    return [star, reference, record["variant"], record["dataset"], shown, size, created, state]
