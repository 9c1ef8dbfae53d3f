"""The rows of each study: which data, variant, preset, settings and seeds.

``ours`` and ``released`` are the tables of the paper on MovieLens-1M; the others are its
ablations, on the same data (the paper shows most of them on Amazon-book).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Row = dict[str, str]
COLUMNS = ("study", "data", "variant", "preset", "settings", "seed")
SEEDS = (1, 2, 3, 4, 5)
RELEASED_SEEDS = (1, 2)
ONE_SEED = (1,)  # of the ablations: they compare settings that differ by more than seeds do
HASTE = "patience=10"  # instead of 20
SMOOTHED_IN_TIME = ("ml1m", "ml100k", "dense", "sparse")
THREE_SEEDS = (1, 2, 3)
#: Logs of the study of item graphs, and the settings of smoothing that were chosen on valid.
SPARSE_LOGS = {
    "gowalla": "confidence=20",
    "yelp2018": "confidence=20",
    "citeulike": "confidence=20 lr=3e-3",
    "lastfm": "",
    "amazon-beauty": "",
    "steam": "",
    "ml1m": "",
}
#: Their published figures are of models that are trained on train and valid.
PUBLISHED = ("gowalla", "yelp2018")
#: Exponents that were found on valid beforehand; elsewhere the fit finds them.
GIVEN_EXPONENTS = {"yelp2018": "p=0.2 q_in=0.7 q_out=0.5"}
WITH_FACTORS = "parts=filter,sharpening,ridge,factors"
WITHOUT_FACTORS = "parts=learned,filter,sharpening,ridge"
#: Logs of the study of masking: MovieLens-1M as released, its raw first half, and others.
ORDERED_LOGS = ("ml1m", "half", "ml100k", "beauty")
#: What takes longer is stopped, and measured as far as it came.
TWENTY_MINUTES = "max_seconds=1200"
#: Settings of SASRec beside its defaults: valid prefers them, or its fit would take hours.
SASREC = {
    "ml100k": "batch_size=64",
    "half": "batch_size=64",
    "beauty": TWENTY_MINUTES,
    "ml1m": TWENTY_MINUTES,
}
UNORDERED_LOGS = ("citeulike", "lastfm", "amazon-beauty", "steam", "gowalla", "yelp2018")
#: Another form of masking, which valid prefers on sample logs.
SHARED_TABLE = "temperature=.2 half_lives=.5,2,8 dim=512"
MADE_UP_LOGS = ("dense", "sparse", "sparsest")
SAMPLE_LOGS = ("sample-20k", "sample-200k", "sample-2m")
LARGEST = "sample-2m"
#: What may train for more than twenty minutes there.
SLOW_ON_LARGEST = (
    *("base+masking", "t+smoothing", "base+smoothing", "base", "l", "t", "lt", "mf", "lightgcn"),
    *("cdae", "multidae", "multidae++", "multivae", "codigem", "acvae", "sasrec"),
)
ALL_LOGS = ("ml1m-noisy", *ORDERED_LOGS, *UNORDERED_LOGS, *MADE_UP_LOGS, *SAMPLE_LOGS)
#: Scales s above 1, which Eq. 4 lacks: s = 1 with bounds that are s times those of ``auto``.
_SCALED = "s=1 alpha_min={:g} alpha_max={:g}"
#: What the table of ``auto`` has beside its candidates.
IN_ORDER = ("graph-t", "markov", "ease-t", "sasrec")
BESIDE = ("graph-t", "markov", "ease-t", "graph", "ease", "itemknn", "popularity")
SLOW = ("sasrec", "multivae", "base")
#: The best models without and with a generator in the paper; it has them beside DiffRec there.
BESIDE_UNDER_NOISE = ("lightgcn", "multivae")
NOISE_PERCENT = (10, 20, 30, 40, 50)

#: Figures printed in the paper (Tables 2 to 4 and 6): recall@10, recall@20, ndcg@10, ndcg@20.
PRINTED: Mapping[tuple[str, str], Sequence[float]] = {
    ("ml1m", "base"): (0.1058, 0.1787, 0.0901, 0.1148),
    ("ml1m", "l"): (0.1060, 0.1809, 0.0868, 0.1122),
    ("ml1m-noisy", "base"): (0.0658, 0.1236, 0.0488, 0.0703),
    ("ml1m-noisy", "l"): (0.0665, 0.1272, 0.0493, 0.0710),
}


def ours() -> list[Row]:
    """Return every variant on the clean data and two on the noisy one, with ``auto``."""
    return [*_tables("ours", "ml1m", "auto"), *_tables("ours", "ml1m-noisy", "auto")]


def released() -> list[Row]:
    """Return the same with the authors' settings."""
    clean = _tables("released", "ml1m", "paper-ml-1m")
    return [*clean, *_tables("released", "ml1m-noisy", "paper-ml-1m-noisy")]


def comparators() -> list[Row]:
    """Return models of the paper's tables whose form changed since the README's comparison."""
    rows = [
        row
        for variant in ("mf", "lightgcn", "multidae++", "multivae")
        for row in _rows("comparators", "ml1m", variant, seeds=THREE_SEEDS)
    ]
    for variant in BESIDE_UNDER_NOISE:  # Table 3; DiffRec's figures are in "ours"
        rows += _rows("comparators", "ml1m-noisy", variant, seeds=THREE_SEEDS)
    return rows


def figure_4() -> list[Row]:
    """Return 10 % to 50 % random noise."""
    data = ["ml1m", *(f"ml1m-random{percent}" for percent in NOISE_PERCENT)]
    return [
        row
        for name in data
        for variant in ("base", *BESIDE_UNDER_NOISE)
        for row in _rows("figure-4", name, variant, settings=HASTE, seeds=ONE_SEED)
    ]


def figure_5() -> list[Row]:
    """Return importance and uniform sampling, weighted as in the paper and not; T' from 0 to T."""
    sampling = [
        f"step_sampling={how} weighted_loss={weighted}"
        for weighted in ("true", "false")
        for how in ("importance", "uniform")
    ]
    starts = [f"T_prime={t}" for t in (0, 2, 5, 8, 10)]  # of T = 10
    return _each("figure-5", "base", [*sampling, *starts])


def figure_6() -> list[Row]:
    """Return sweeps over the noise scale s and the number of steps T."""
    scales = [f"s={s}" for s in ("0", "0.0001", "0.005", "0.1", "0.5")]
    scales += [_SCALED.format(0.001 * s, 0.01 * s) for s in (2, 10, 50)]
    return _each("figure-6", "base", [*scales, *(f"T={T}" for T in (1, 2, 5, 10, 40, 100))])


def figure_7() -> list[Row]:
    """Return 1 to 5 item groups."""
    return _each("figure-7", "l", [f"C={C}" for C in range(1, 6)])


def table_5() -> list[Row]:
    """Return the prediction of x_0 and of epsilon, at our noise scale and at larger ones."""
    settings = ["prediction=x0"]
    settings += ["prediction=epsilon s=0.5"]
    settings += [f"prediction=epsilon {_SCALED.format(0.001 * s, 0.01 * s)}" for s in (10, 90)]
    return _each("table-5", "base", settings)


def smoothing() -> list[Row]:
    """Return smoothing beside popularity, EASE and Gaussian noise, on logs of every kind."""
    seeds, rows = range(1, 11), []
    for data in ("ml1m", "ml1m-noisy", "ml100k", "dense", "sparse", "sparsest"):
        for variant in ("base+smoothing", *(["t+smoothing"] if data in SMOOTHED_IN_TIME else [])):
            rows += _rows("smoothing", data, variant, seeds=seeds)
        for variant in ("popularity", "ease", "ease-t"):
            rows += _rows("smoothing", data, variant, seeds=ONE_SEED)
    for data in ("ml100k", "dense", "sparse", "sparsest"):  # the others are in "ours"
        for variant in ("base", "t"):
            rows += _rows("smoothing", data, variant, seeds=ONE_SEED)
    return rows


def graphs() -> list[Row]:
    """Return item graphs alone and in the output of models, on sparse logs and in time order."""
    rows = []
    for data, learned in SPARSE_LOGS.items():
        refit = "refit=train+valid" if data in PUBLISHED else ""
        rows += _graph_rows(data, "base+smoothing+graph", learned, refit, seeds=THREE_SEEDS)
        rows += _graph_rows(data, "base+smoothing+graph", learned, WITHOUT_FACTORS, refit)
        ials = "dim=256 confidence=40 regularization=2"
        rows += _graph_rows(data, "ials+graph", ials, WITHOUT_FACTORS, refit)
        rows += _graph_rows(data, "graph", WITH_FACTORS, GIVEN_EXPONENTS.get(data, ""), refit)
        for variant in ("graph", "ials", "ease"):
            rows += _graph_rows(data, variant, refit)
    for data in ("beauty", "ml100k"):
        rows += _graph_rows(data, "graph-t", "refit=train+valid")
    return rows


def masking() -> list[Row]:
    """Return masking in time order beside its rivals, and random masks where there is no order."""
    rows = []
    for data in ORDERED_LOGS:
        for variant in ("t+masking", "t+masking+graph"):
            rows += _rows("masking", data, variant)
        for variant in ("markov", "graph-t", "t+smoothing", "ease-t"):
            rows += _rows("masking", data, variant, seeds=ONE_SEED)
    for data in ("ml100k", "half"):
        rows += _rows("masking", data, "sasrec", seeds=ONE_SEED)
    for data, settings in SASREC.items():
        rows += _rows("masking", data, "sasrec", settings=settings, seeds=ONE_SEED)
    for data in UNORDERED_LOGS:
        for variant in ("base+masking", "base+masking+graph"):
            rows += _rows("masking", data, variant, seeds=ONE_SEED)
    return rows


def samples() -> list[Row]:
    """Return every model on sample logs of three sizes."""
    variants = (
        *("t+masking+graph", "t+masking", "base+masking", "t+smoothing+graph", "t+smoothing"),
        *("base+smoothing", "base", "l", "t", "lt", "graph", "graph-t", "markov", "popularity"),
        *("ease", "ease-t", "itemknn", "itemknn-t", "userknn", "userknn-t", "rp3beta", "rp3beta-t"),
        *("slim", "ials", "mf", "lightgcn", "cdae", "multidae", "multidae++", "multivae"),
        *("codigem", "acvae", "sasrec"),
    )
    rows = []
    for data in SAMPLE_LOGS:
        for variant in variants:
            slow = data == LARGEST and variant in SLOW_ON_LARGEST
            settings = TWENTY_MINUTES if slow else ""
            rows += _rows("samples", data, variant, settings=settings, seeds=ONE_SEED)
        rows += _rows("samples", data, "t+masking+graph", settings=SHARED_TABLE, seeds=ONE_SEED)
    return rows


def auto() -> list[Row]:
    """Return ``fit LOG`` alone on every log, and the models beside it that no other study has."""
    rows = []
    for data in ALL_LOGS:
        others = [row for study in (graphs, masking, samples, smoothing) for row in study()]
        known = {(row["variant"], row["settings"]) for row in others if row["data"] == data}
        rows += _rows("auto", data, "auto", seeds=ONE_SEED)
        wanted = [*candidates(data).values(), *((name, "") for name in BESIDE)]
        wanted += [(name, TWENTY_MINUTES) for name in SLOW if (name, "") not in known]
        for variant, settings in dict.fromkeys(wanted):
            reads_order = variant in IN_ORDER and data in UNORDERED_LOGS
            if (variant, settings) not in known and not reads_order:
                rows += _rows("auto", data, variant, settings=settings, seeds=ONE_SEED)
    return rows


def candidates(data: str) -> dict[str, tuple[str, str]]:
    """Return variant and settings of what ``auto`` tries on a log, by the names that it prints."""
    plain = {name: (name, "") for name in ("base+smoothing+graph", "ials")}
    if data not in UNORDERED_LOGS:
        names = ("t+masking+graph", "t+smoothing+graph", "graph-t", "ease-t")
        shared = {"t+masking+graph (shared embeddings)": ("t+masking+graph", SHARED_TABLE)}
        return plain | shared | {name: (name, "") for name in names}
    confident = "confidence=20" if data in PUBLISHED else "confidence=20 lr=3e-3"
    return {
        **plain,
        "base+smoothing+graph (confidence 20)": ("base+smoothing+graph", confident),
        "base+masking+graph": ("base+masking+graph", ""),
        "graph (with factors)": ("graph", WITH_FACTORS),
        "ease": ("ease", ""),
    }


def _graph_rows(data: str, variant: str, *settings: str, seeds: Sequence[int] = (1,)) -> list[Row]:
    """Return rows of the study of item graphs; some of the settings may be empty."""
    return _rows("graphs", data, variant, settings=" ".join(filter(None, settings)), seeds=seeds)


STUDIES: Mapping[str, Callable[[], list[Row]]] = {
    "ours": ours,
    "released": released,
    "comparators": comparators,
    "figure-4": figure_4,
    "figure-5": figure_5,
    "figure-6": figure_6,
    "figure-7": figure_7,
    "table-5": table_5,
    "smoothing": smoothing,
    "graphs": graphs,
    "masking": masking,
    "samples": samples,
    "auto": auto,
}


def _tables(study: str, data: str, preset: str) -> list[Row]:
    """Return the variants of which the paper, or its authors' code, has figures on this data."""
    variants = ("base", "l", "t", "lt") if data == "ml1m" else ("base", "l")
    seeds = SEEDS if preset == "auto" else RELEASED_SEEDS
    return [
        row
        for variant in variants
        for row in _rows(study, data, variant, preset=preset, seeds=seeds)
    ]


def _each(study: str, variant: str, settings: Sequence[str]) -> list[Row]:
    """Return rows on the clean data, one for each of the settings, one seed."""
    return [
        row
        for setting in settings
        for row in _rows(study, "ml1m", variant, settings=f"{setting} {HASTE}", seeds=ONE_SEED)
    ]


def _rows(
    study: str,
    data: str,
    variant: str,
    *,
    preset: str = "auto",
    settings: str = "",
    seeds: Sequence[int] = SEEDS,
) -> list[Row]:
    values = (study, data, variant, preset, settings)
    return [dict(zip(COLUMNS, (*values, str(seed)), strict=True)) for seed in seeds]
