"""Download of public rating logs."""

from __future__ import annotations

from pathlib import Path

from diffrec_cli.data.sources.public import PUBLIC_LOGS, Downloaded, PublicLog
from diffrec_cli.data.sources.public import download as fetch
from diffrec_cli.errors import UsageError
from diffrec_cli.workflows.progress import Listener, Note, Step, silent


def download(
    data: str | PublicLog,
    directory: str | Path = ".",
    *,
    overwrite: bool = False,
    listener: Listener = silent,
) -> Downloaded:
    """Fetch a rating log and its item table.

    Parameters
    ----------
    data
        ``ml-100k`` or ``ml-1m`` (MovieLens, from GroupLens), or an archive of your own.
    directory
        For the files; made if needed.
    overwrite
        Replace files of these names that have other content.
    listener
        Gets progress in bytes, and the licence.

    Raises
    ------
    UsageError
        There is no dataset of that name.
    UsageError, DownloadError, DataError, StorageError
        As in :mod:`diffrec_cli.data.sources.public`.
    """
    if isinstance(data, str) and data not in PUBLIC_LOGS:
        raise UsageError(
            f"no data set {data!r} to download", f"name one of {', '.join(PUBLIC_LOGS)}"
        )
    source = PUBLIC_LOGS[data] if isinstance(data, str) else data
    files = fetch(
        source,
        directory,
        overwrite=overwrite,
        progress=lambda done, total: listener(Step("downloading", done, total, "bytes")),
    )
    verb = "reused" if files.reused else "wrote"
    listener(Note(f"{verb} {files.log} and {files.items}"))
    terms = f"research only, and the files may not be passed on; see README in {files.archive}"
    listener(Note(f"MovieLens' licence: {terms}"))
    return files
