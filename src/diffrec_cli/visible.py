r"""Text from outside, made safe to show.

Ids, titles and file names may have characters that act on a terminal (escape sequences), turn the
order of what is read, or cannot be seen. They are shown as Python writes them: ``\x1b``,
``\u202e``. JSON has escapes of its own, so it stays the same document.
"""

from __future__ import annotations

import json
import re
from typing import Any

#: Unicode's controls from DEL on, line separators, surrogates (bytes that are not text), and all
#: that it calls "default ignorable": bidirectional controls, zero-width characters, fillers,
#: variation selectors and tags.
_UNSEEN = (
    "\x7f-\x9f\u2028\u2029\ud800-\udfff"
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_UNSAFE = re.compile(f"[\x00-\x1f{_UNSEEN}]")
_UNSAFE_IN_JSON = re.compile(f"[{_UNSEEN}]")  # it escapes lower ones itself; lines end in one


def visible(text: str, encoding: str | None = None) -> str:
    r"""Return a text that does nothing but be seen, in one line.

    Parameters
    ----------
    text
        Any text.
    encoding
        Of the stream that shows it: what it lacks is escaped, too. ``None`` is UTF-8.

    Examples
    --------
    >>> print(visible("\x1b[31mred\u202e 日本"))
    \x1b[31mred\u202e 日本
    >>> print(visible("日本", "ascii"))
    \u65e5\u672c
    """
    shown = _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    encoding = encoding or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def visible_json(value: Any, encoding: str | None = None, *, indent: int | None = None) -> str:
    r"""Return `value` as JSON whose texts do nothing but be seen.

    Parameters
    ----------
    value
        What JSON knows.
    encoding
        Of the stream that it is written to; ``None`` is UTF-8. In others all is ASCII.
    indent
        As in :func:`json.dumps`.

    Examples
    --------
    >>> print(visible_json(["\x1b[31m", "\u202e", "日本"]))
    ["\u001b[31m", "\u202e", "日本"]
    """
    ascii_only = not (encoding or "utf-8").lower().startswith("utf")
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    # ensure_ascii writes a character beyond 16 bits as two escapes, as JSON wants it.
    return _UNSAFE_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)
