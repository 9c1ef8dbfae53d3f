"""``diffrec models``: stored models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _completion as completion
from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import (
    chosen,
    confirm,
    filled,
    flat,
    make_table,
    print_line,
    report,
    screen,
)
from diffrec_cli.cli._streams import require_stdout
from diffrec_cli.errors import UsageError

app = typer.Typer(
    help="List, show, rename, remove, prune, export, import and verify models.",
    epilog=examples(
        "diffrec models ls", "diffrec models show shop", "diffrec models default shop@1"
    ),
    no_args_is_help=True,
)


_COLUMNS = ("", "model", "variant", "dataset", ">valid r@20", ">MiB", ">own", "created", "")


@app.command(
    "ls",
    epilog=examples(
        "diffrec models ls",
        "diffrec models ls --format jsonl | jq -r 'select(.default).name'",
    ),
)
def ls(form: o.FormatOption = None) -> None:
    """List models; a star marks the default.

    MiB: the size of all files. Own: of those that no other version or dataset has, which is what a
    removal frees.
    """
    from diffrec_cli import workflows

    require_stdout()
    records = [_brief(model) for model in workflows.list_models()]
    report(
        chosen(form, piped="json"),
        payload={"models": records},
        rows=[flat(record) for record in records],
        table=lambda: filled(
            make_table(*_COLUMNS),
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

    require_stdout()
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
    "prune",
    epilog=examples(
        "diffrec models prune shop --keep 7 --dry-run",
        "diffrec models prune shop --keep 7 --older-than 30d --yes  # every night",
    ),
)
def prune(
    name: Annotated[
        str, typer.Argument(help="Name of the model.", autocompletion=completion.model_names)
    ],
    keep: Annotated[int, typer.Option("--keep", min=1, help="How many newest versions stay.")],
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", help="Also keep younger ones: 30d, 12h, 4w."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    yes: o.YesOption = False,
    form: o.FormatOption = None,
) -> None:
    """Remove old versions of a model.

    Never the default, a damaged one, or one that a process reads at that moment.
    Freed is what no other version or dataset has.
    """
    from diffrec_cli import workflows

    if dry_run:
        require_stdout()
    pruned = workflows.prune_model(
        name,
        keep,
        older_than,
        dry_run=dry_run,
        confirm=lambda found: confirm(f"Remove {_versions(found)} of {name}?", yes),
    )
    payload = pruned.to_dict()
    rows = [
        *({**one, "removed": True, "why": ""} for one in payload["removed"]),
        *({"created": "", "freed_bytes": 0, **one, "removed": False} for one in payload["kept"]),
    ]
    report(
        chosen(form, piped="json"),
        payload=payload,
        rows=rows,
        table=lambda: filled(
            make_table("model", "", "created", ">MiB freed"),
            (_pruned_row(row, dry_run) for row in rows),
        ),
    )
    done = "to be removed" if dry_run else "removed"
    screen.say(f"{_versions(pruned)} {done}, {pruned.freed_bytes / 2**20:.1f} MiB freed")


def _versions(pruned: Any) -> str:
    count = len(pruned.removed)
    return f"{count} version{'' if count == 1 else 's'}"


def _pruned_row(row: dict[str, Any], dry_run: bool) -> list[str]:
    if not row["removed"]:
        return [row["model"], f"kept: {row['why']}", "", ""]
    done = "to be removed" if dry_run else "removed"
    return [row["model"], done, _minute(row["created"]), f"{row['freed_bytes'] / 2**20:.1f}"]


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

    if reference is None:
        require_stdout()
    print_line(workflows.default_model(reference))


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
    print_line(workflows.export_model(reference, out, overwrite=overwrite))


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

    print_line(workflows.import_model(archive, name))


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
        "own_bytes": model.own,
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
    sizes = [f"{record[key] / 2**20:.1f}" for key in ("bytes", "own_bytes")]
    reference = f"{record['name']}@{record['version']}"
    if "error" in record:
        return [star, reference, "damaged", record["error"], "", *sizes, "", ""]
    recall = record["valid"].get("recall@20")
    shown = "" if recall is None else f"{recall:.4f}"
    state = "" if record["complete"] else "interrupted"
    state = f"refit on {record['trained_on']}" if record["refit"] else state
    created = _minute(record["created"])
    return [star, reference, record["variant"], record["dataset"], shown, *sizes, created, state]


def _minute(created: str) -> str:
    return created[:16].replace("T", " ")
