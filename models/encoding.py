"""Decoding of text from outside: UTF-8, with or without the byte order mark that editors and spreadsheets write.

It is used for every input: events, bodies of requests, recordings, catalogues, settings, secrets and templates.
"""

from __future__ import annotations

from typing import Final

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""Byte order mark of UTF-8, with which a text may begin."""

TEXT: Final = "utf-8-sig"
"""Name of the codec for files that are opened as text; it reads UTF-8 with or without the mark."""


def without_mark(content: bytes) -> bytes:
    r"""Remove the byte order mark from the beginning of a text.

    Examples
    --------
    >>> without_mark(b"\xef\xbb\xbf{}"), without_mark(b"{}")
    (b'{}', b'{}')
    """
    return content.removeprefix(BYTE_ORDER_MARK)


def is_blank(line: bytes) -> bool:
    r"""Return whether a line is empty, except for blanks and a byte order mark.

    Examples
    --------
    >>> is_blank(b" \r\n"), is_blank(b"\xef\xbb\xbf\n"), is_blank(b"{}")
    (True, True, False)
    """
    return not without_mark(line).strip()
