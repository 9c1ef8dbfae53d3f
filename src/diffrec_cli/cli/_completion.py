"""What a shell offers for a half-typed word: names of models, datasets, settings and so on.

It runs at every press of the Tab key, so it reads directories alone. Errors give no names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from diffrec_cli.errors import DiffrecError
from diffrec_cli.paths import datasets_dir, is_name, presets_dir

Names = Callable[[], list[str]]

#: What ``--metrics`` takes; written out here because importing it would import NumPy.
METRICS = ("recall", "ndcg", "precision", "mrr", "hit", "novelty", "coverage")
#: What ``--preset`` takes besides the user's own; written out, because the catalogue takes a while.
PRESETS = (
    *("auto", "paper-ml-1m", "paper-ml-1m-noisy", "paper-yelp", "paper-yelp-noisy"),
    *("paper-amazon-book", "paper-amazon-book-noisy"),
)
#: What ``--device`` and ``--precision`` take, whatever this machine has.
DEVICES = ("auto", "cuda", "mps", "cpu")
PRECISIONS = ("auto", "fp32", "bf16")


def models() -> list[str]:
    """Return every reference of a model: each NAME and each NAME@VERSION."""
    keys = _model_keys()
    return [*dict.fromkeys(name for name, _ in keys), *(f"{name}@{n}" for name, n in keys)]


def model_names() -> list[str]:
    """Return the name of every model."""
    return list(dict.fromkeys(name for name, _ in _model_keys()))


def datasets() -> list[str]:
    """Return the name of every prepared dataset."""
    return [path.name for path in _entries(datasets_dir) if is_name(path.name)]


def datasets_or_files(incomplete: str) -> list[str]:
    """Return matching datasets and files; nothing without a dataset, as shells complete files."""
    fitting = [name for name in datasets() if name.startswith(incomplete)]
    return [*fitting, *_files(incomplete)] if fitting else []


def presets() -> list[str]:
    """Return the name of every preset, the user's own included."""
    own = [path.stem for path in _entries(presets_dir) if path.suffix == ".json"]
    return [*PRESETS, *(name for name in own if name.isprintable())]


def variants() -> list[str]:
    """Return the name of every model that can be fitted."""
    from diffrec_cli.catalogue import names

    return names()


def variants_or_auto() -> list[str]:
    """Return what ``fit --variant`` takes."""
    from diffrec_cli.catalogue import AUTO

    return [AUTO, *variants()]


def corruptions() -> list[str]:
    """Return the name of every corruption."""
    from diffrec_cli.catalogue import CORRUPTIONS

    return list(CORRUPTIONS)


def baselines() -> list[str]:
    """Return the name of every model that is fitted without epochs."""
    from diffrec_cli.catalogue import closed_forms

    return closed_forms()


def one_of(*words: str) -> Names:
    """Return a completer of fixed words."""
    return lambda: list(words)


def several(names: Names) -> Callable[[str], list[str]]:
    """Return a completer of lists separated by commas, which offers no name twice.

    Examples
    --------
    >>> several(one_of("pop", "ease", "slim"))("pop,s")
    ['pop,ease', 'pop,slim']
    """

    def complete(incomplete: str) -> list[str]:
        head, comma, _ = incomplete.rpartition(",")
        taken = head.split(",")
        return [f"{head}{comma}{name}" for name in names() if name not in taken]

    return complete


def minima() -> list[str]:
    """Return how ``METRIC@K=VALUE`` may begin, at the usual cut-offs."""
    return [f"{metric}@{k}=" for metric in METRICS for k in (10, 20)]


def settings(context: typer.Context) -> list[str]:
    """Return how ``KEY=VALUE`` may begin, for the models that the command line names."""
    from diffrec_cli.catalogue import AUTO, candidates, names, preset

    given = context.params.get("variant") or context.params.get("models") or "base"
    named = set(given.split(",")).intersection(names())
    if given == AUTO:
        found = candidates(ordered=True, users=1)
        known = [
            set(preset("auto", one.variant, users=1).values()) for one in found if not one.simple
        ]
        return sorted(f"{key}=" for key in set.intersection(*known))
    return sorted({f"{key}=" for name in named for key in preset("auto", name, users=1).values()})


device, precision = one_of(*DEVICES), one_of(*PRECISIONS)
metrics = several(one_of(*METRICS))
variant_list, baseline_list = several(variants), several(baselines)
diffrec_variants = one_of("auto", "base", "l", "t", "lt")


def _model_keys() -> list[tuple[str, int]]:
    from diffrec_cli.registry.references import all_keys

    try:
        return all_keys()
    except (DiffrecError, OSError):
        return []


def _entries(directory: Callable[[], Path]) -> list[Path]:
    """Return what is in a directory; nothing if it cannot be read."""
    try:
        return sorted(directory().iterdir())
    except (DiffrecError, OSError):  # DIFFREC_HOME may be of no use
        return []


def _files(start: str) -> list[str]:
    """Return the paths that begin with `start`; those of directories end in a slash."""
    head, slash, tail = start.rpartition("/")
    entries = _entries(lambda: Path(head + slash))
    found = [path for path in entries if path.name.startswith(tail) and path.name.isprintable()]
    shown = [path for path in found if tail or not path.name.startswith(".")]
    return [f"{head}{slash}{path.name}{'/' if path.is_dir() else ''}" for path in shown]
