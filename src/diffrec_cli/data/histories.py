"""Small files that a person writes: lists of ids, and histories of unseen users."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.readers import read_logs
from diffrec_cli.errors import DataError

_SEPARATORS = (",", "\t", ";", "|", "::")


def read_ids(path: str | Path) -> list[str]:
    """Return the ids in a file, one a line, exactly as written; ``-`` is stdin.

    Raises
    ------
    DataError
        The file cannot be read, is not UTF-8 text, or has no ids.
    """
    ids = [line for line in _text(path).splitlines() if line]
    if not ids:
        raise DataError(f"{path}: no ids", "give one id a line")
    return ids


def read_histories(path: str | Path) -> tuple[list[str], NDArray[np.int64], list[str]]:
    """Return histories from a log of ``user,item[,time]``, or from one item a line.

    Returns
    -------
    labels
        Ids of the users; of one item a line, the one label ``history``.
    user
        (n,) place in `labels` of each interaction, grouped by user.
    items
        (n) their item ids, each user's oldest first.

    Raises
    ------
    DataError
        The file cannot be read as either.
    """
    text = _text(path)
    first = text.split("\n", 1)[0]
    if not any(separator in first for separator in _SEPARATORS):
        items = [line for line in text.splitlines() if line]
        if not items:
            raise DataError(f"{path}: no items", "give one item a line, or user,item[,time]")
        return ["history"], np.zeros(len(items), np.int64), items
    if str(path) == "-":
        log = read_logs(["-"], ReadOptions(), stdin=io.BytesIO(text.encode()))
    else:
        log = read_logs([path], ReadOptions())
    time = np.zeros(len(log.user)) if log.time is None else log.time
    order = np.lexsort((time, log.user))
    user = log.user[order].astype(np.int64)
    return log.user_ids.at(np.arange(len(log.user_ids))), user, log.item_ids.at(log.item[order])


def _text(path: str | Path) -> str:
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes()
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", "check the path") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: not UTF-8 text", "convert the file to UTF-8") from error
