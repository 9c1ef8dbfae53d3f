"""Damaged files for the readers: only the package's own errors may come of them.

python -m tests.fuzz_reading 20000 1    # so many cases from seed 1; outside the test suite
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.histories import read_histories
from diffrec_cli.data.reading.log import read_item_table, read_logs
from diffrec_cli.errors import DiffrecError

_PIECES = (b'"', b"\\", b"\0", b"\n", b"\r", b",", b"\t", b"::", b" ", b"#", b"nan", b"NULL")
_PIECES += (
    b"1e999",
    b"-1",
    b"\xff",
    b"\xef\xbb\xbf",
    b"{",
    b"[",
    b"]",
    b"sep=;",
    b"\x1f",
    b"0" * 40,
)


def seeds() -> dict[str, bytes]:
    """Return small files of every format, by name."""
    lines = "ann,1,5,10\nann,2,3,20\nbob,1,4,30\nbob,3,1,40\n"
    text = "user,item,rating,timestamp\n" + lines
    plain = text.encode()
    table = pa.table({"user": ["a", "b"], "item": [1, 2], "rating": [5.0, 4.0], "time": [1, 2]})
    parquet, zipped = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("log.csv", plain)
    return {
        "csv": plain,
        "quoted": b'"user";"item"\n"a";"1"\n"b";"say \\"hi\\""\n',
        "tsv": plain.replace(b",", b"\t"),
        "colons": lines.encode().replace(b",", b"::"),
        "blanks": lines.encode().replace(b",", b"  "),
        "dates": b"user,item,date\na,1,2020-01-02\nb,2,2020-01-03\n",
        "days": b"user,item,date\na,1,13/01/2020\nb,2,02/03/2020\n",
        "json": b'{"user":"a","item":1,"time":5}\n{"user":"b","item":2,"time":6.5}\n',
        "list": b'[{"user":"a","item":1,"time":5},\n {"user":"b","item":2,"time":6.5}]\n',
        "blocks": b"1:\na,5,2005-09-01\nb,4,2005-09-02\n2:\na,3,2005-09-03\n",
        "impressions": b"1\tU1\t11/1/2019 9:05:58 AM\tN1 N2\tN5-1 N6-0\n"
        b"2\tU2\t11/2/2019 9:05:58 PM\tN1\tN5-0 N6-1\n",
        "commas": b"user;item;rating\na;1;4,5\nb;2;3,5\n",
        "adjacency": b"0 1 2 3\n1 2\n2 0 1 5 6 7\n",
        "inter": b"user_id:token\titem_id:token\nu\ti\nv\tj\n",
        "parquet": parquet.getvalue(),
        "gzip": gzip.compress(plain),
        "bz2": bz2.compress(plain),
        "xz": lzma.compress(plain),
        "zip": zipped.getvalue(),
    }


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Return the content with a few bytes changed, cut out, doubled or put in."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(data) + 1))
        length = int(rng.integers(1, 12))
        match rng.integers(5):
            case 0:
                data[at : at + 1] = bytes([rng.integers(256)])
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at:at] = _PIECES[rng.integers(len(_PIECES))]
            case _:
                del data[at:]
    return bytes(data)


def main(cases: int, seed: int) -> int:
    """Try damaged files; print what failed and how often."""
    outcomes: Counter[str] = Counter()
    rng, files = np.random.default_rng(seed), seeds()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "log"
        for number in range(cases):
            name = list(files)[number % len(files)]
            content = mutated(files[name], rng)
            path.write_bytes(content)
            for reader in (_log, _items, _history):
                try:
                    reader(path)
                    outcomes["read"] += 1
                except DiffrecError as error:
                    outcomes["refused" if error.fix else "refused without a fix"] += 1
                except Exception:
                    outcomes["crashed"] += 1
                    print(f"case {number} of {name}, {reader.__name__}: {content!r}")
                    traceback.print_exc()
    print(f"{cases:,} files, {time.perf_counter() - started:.0f} s: {dict(outcomes)}")
    return outcomes["crashed"] + outcomes["refused without a fix"]


def _log(path: Path) -> None:
    read_logs([path], ReadOptions())
    read_logs([path], ReadOptions(missing="skip"))


def _items(path: Path) -> None:
    read_item_table(path)


def _history(path: Path) -> None:
    read_histories(path, min_rating=4)


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]))))
