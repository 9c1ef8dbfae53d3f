"""MovieLens from GroupLens: a verified rating log and item table, ready for ``prepare``.

The archive is kept beside them, so that the same call works again without a network. An archive
copied there by hand works, too.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from diffrec_cli import __version__
from diffrec_cli.data.tables import write_stream
from diffrec_cli.errors import DataError, DownloadError, UsageError
from diffrec_cli.files import user_file
from diffrec_cli.system_errors import writing

#: Called with the bytes done and, if the server says so, the bytes in all.
Progress = Callable[[int, int | None], None]
_Movie = tuple[str, str, str]  # id, title, genres

_TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 64 << 10  # bytes between reports of progress
_LARGEST = 64 << 20  # bytes of an archive or a member; the largest real one has 24 MB
_YEAR = re.compile(r"\(([0-9]{4})\)")

# The flags of u.item after the first, "unknown".
_GENRES = (
    *("Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller"),
    *("War", "Western"),
)

#: What zipfile and the readers of item tables raise for unexpected content.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,  # no such member
    ValueError,
    NotImplementedError,  # an unknown compression
    RuntimeError,  # a password
)


def movies_of_100k(lines: Iterator[str]) -> Iterator[_Movie]:
    """Read ``u.item``: id, title, three fields that are not needed, and 19 genre flags.

    Examples
    --------
    >>> flags = "0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0"
    >>> list(movies_of_100k(iter([f"1|Toy Story (1995)|01-Jan-1995||http://...|{flags}"])))
    [('1', 'Toy Story (1995)', "Animation|Children's|Comedy")]
    """
    for line in lines:
        movie, title, _, _, _, _, *flags = line.split("|")
        genres = [genre for genre, flag in zip(_GENRES, flags, strict=True) if flag == "1"]
        yield movie, title, "|".join(genres)


def movies_of_1m(lines: Iterator[str]) -> Iterator[_Movie]:
    """Read ``movies.dat``: id, title and genres.

    Examples
    --------
    >>> list(movies_of_1m(iter(["1::Toy Story (1995)::Animation|Children's|Comedy"])))
    [('1', 'Toy Story (1995)', "Animation|Children's|Comedy")]
    """
    for line in lines:
        movie, title, genres = line.split("::")
        yield movie, title, genres


@dataclass(frozen=True)
class PublicLog:
    """A published archive.

    Parameters
    ----------
    name
        First part of the files' names.
    url
        Where the archive is.
    md5
        Its checksum, in hexadecimal; MD5 is what GroupLens publishes.
    log, items
        Names of its members: the rating log, and the table of movies (in Latin-1).
    suffix
        Of the log's file here.
    movies
        Reads the lines of the table of movies.
    """

    name: str
    url: str
    md5: str
    log: str
    items: str
    suffix: str
    movies: Callable[[Iterator[str]], Iterator[_Movie]]


PUBLIC_LOGS: Mapping[str, PublicLog] = {
    source.name: source
    for source in (
        PublicLog(
            name="ml-100k",
            url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
            md5="0e33842e24a9c977be4e0107933c0723",
            log="ml-100k/u.data",
            items="ml-100k/u.item",
            suffix=".tsv",
            movies=movies_of_100k,
        ),
        PublicLog(
            name="ml-1m",
            url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
            md5="c4d9eecfca2ab87c1945afe126590906",
            log="ml-1m/ratings.dat",
            items="ml-1m/movies.dat",
            suffix=".dat",
            movies=movies_of_1m,
        ),
    )
}


@dataclass(frozen=True)
class Downloaded:
    """Files of a data set.

    Parameters
    ----------
    archive
        What was fetched; its README has the licence.
    log
        The rating log, byte for byte as published.
    items
        CSV of id, title, year and genres (with ``|`` between them).
    reused
        Whether all of it was there already.
    """

    archive: Path
    log: Path
    items: Path
    reused: bool


def download(
    source: PublicLog,
    directory: str | Path,
    *,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> Downloaded:
    """Fetch an archive, unless it is there already, and write its log and its item table.

    Parameters
    ----------
    source
        The archive.
    directory
        For NAME.zip, the log and NAME-items.csv; made if needed.
    overwrite
        Replace files of these names that have other content.
    progress
        Gets the bytes that arrive.

    Raises
    ------
    DownloadError
        The network or server failed, or the content is not what was published.
    DataError
        The archive has another form than expected.
    UsageError
        A file of such a name has other content, or the directory cannot be written to.
    StorageError
        The disk is full, or fails.
    """
    directory = Path(directory)
    archive = directory / f"{source.name}.zip"
    log = directory / f"{source.name}{source.suffix}"
    items = directory / f"{source.name}-items.csv"

    content = _stored(archive, source, overwrite) or _fetch(source, archive, progress)
    files = {archive: content, **_unpack(content, source, log, items)}
    missing = [path for path in files if not _holds(path, files[path])]
    taken = [path for path in missing if path.exists()]
    if taken and not overwrite:
        raise UsageError(f"{taken[0]} exists", "give another --dir, or --overwrite to replace it")
    _make(directory)
    for path in missing:
        with user_file(path, overwrite=overwrite) as stream:
            stream.write(files[path])
    return Downloaded(archive, log, items, reused=not missing)


def _stored(archive: Path, source: PublicLog, overwrite: bool) -> bytes | None:
    """Return the archive that is on the disk; None if it is to be fetched."""
    with writing(archive):  # even looking into a directory may be forbidden
        if not archive.is_file():
            return None
        content = archive.read_bytes()
    if _md5(content) == source.md5:
        return content
    if overwrite:
        return None
    raise UsageError(
        f"{archive} exists and is not the archive that is published at {source.url}",
        "remove it, or say --overwrite to fetch it again",
    )


def _fetch(source: PublicLog, archive: Path, progress: Progress) -> bytes:
    import pooch

    by_hand = f"try again later, or save {source.url} as {archive} and run this again"
    arriving = _Arriving(progress)
    fetch = pooch.HTTPDownloader(
        chunk_size=_BLOCK,
        timeout=_TIMEOUT,
        headers={"User-Agent": f"diffrec-cli/{__version__}"},
        hooks={"response": arriving.begin},
    )
    try:
        fetch(source.url, arriving, None)
    except _TooLargeError:
        pass  # its checksum will be wrong
    except OSError as error:  # the library's errors, too
        response = getattr(error, "response", None)
        if response is not None:
            what = f"the server answered with HTTP status {response.status_code}"
        else:
            what = f"cannot be fetched ({_reason(error)})"
        raise DownloadError(f"{source.url}: {what}", by_hand) from error
    content = arriving.finished()
    found = _md5(content)
    if found != source.md5:
        raise DownloadError(
            f"{source.url}: {len(content):,} bytes came, with the MD5 checksum {found} instead of "
            f"{source.md5}; nothing was written",
            by_hand,
        )
    return content


class _Arriving(io.BytesIO):
    """A download in memory, of limited size, which reports progress."""

    total: int | None = None

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def begin(self, response: Any, **_: Any) -> None:
        """Note the size, and hide it from pooch, which fails if it is not a number."""
        said = response.headers.pop("content-length", "")
        self.total = int(said) if re.fullmatch("[0-9]{1,18}", said) else None

    def write(self, block: Any) -> int:
        """Keep a block and report progress."""
        size = super().write(block)
        self._progress(self.tell(), self.total)
        if self.tell() > _LARGEST:
            raise _TooLargeError
        return size

    def finished(self) -> bytes:
        """Report the end and return the content."""
        if self.tell() != self.total:
            self._progress(self.tell(), self.tell())
        return self.getvalue()


class _TooLargeError(Exception):
    """The download is larger than any real archive."""


def _reason(error: BaseException) -> str:
    """Return the first cause in one line; libraries wrap it several times."""
    while error.__context__ is not None:
        error = error.__context__
    return " ".join(str(error).split()) or type(error).__name__


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _unpack(content: bytes, source: PublicLog, log: Path, items: Path) -> dict[Path, bytes]:
    """Return the two files' contents; no path of the archive is used."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            ratings, table = (_member(archive, name) for name in (source.log, source.items))
        return {log: ratings, items: _item_table(source.movies(_lines(table)))}
    except _DAMAGE as error:
        raise DataError(
            f"{source.url}: not an archive of {source.name} as it is known ({error})",
            "upgrade diffrec-cli, or unpack it yourself and give the log to `diffrec prepare`",
        ) from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as stream:
        content = stream.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"{name} has more than {_LARGEST >> 20} MiB")
    return content


def _lines(content: bytes) -> Iterator[str]:
    # Not splitlines(), which splits at some characters of Latin-1.
    lines = (line.rstrip("\r") for line in content.decode("latin-1").split("\n"))
    return filter(None, lines)


def _item_table(movies: Iterator[_Movie]) -> bytes:
    """Return the CSV of the movies; the year is the last one in the title's parentheses."""
    ids, titles, genres = zip(*movies, strict=True)
    years = [(_YEAR.findall(title) or [""])[-1] for title in titles]
    stream = io.BytesIO()
    table = pa.table({"id": ids, "title": titles, "year": years, "genres": genres})
    write_stream(stream, "csv", [table])
    return stream.getvalue()


def _holds(path: Path, content: bytes) -> bool:
    if not path.is_file() or path.stat().st_size != len(content):
        return False
    with writing(path):
        return path.read_bytes() == content


def _make(directory: Path) -> None:
    with writing(directory):
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise UsageError(
                f"{directory}: no directory can be made there ({error.strerror})",
                "give another --dir",
            ) from error
