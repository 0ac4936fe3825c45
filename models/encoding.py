"""Text from outside is UTF-8, and may begin with a byte order mark, as editors and spreadsheets write it.

Every input is decoded here: events, bodies of requests, recordings, catalogues, settings, secrets, templates.
"""

from __future__ import annotations

from typing import Final

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

TEXT: Final = "utf-8-sig"
"""Name of the codec that reads UTF-8 with or without the mark, for files that are opened as text."""


def without_mark(content: bytes) -> bytes:
    r"""Remove the byte order mark from the beginning.

    Examples
    --------
    >>> without_mark(b"\xef\xbb\xbf{}"), without_mark(b"{}")
    (b'{}', b'{}')
    """
    return content.removeprefix(BYTE_ORDER_MARK)


def is_blank(line: bytes) -> bool:
    r"""Return whether a line says nothing: blanks only, or a byte order mark.

    Examples
    --------
    >>> is_blank(b" \r\n"), is_blank(b"\xef\xbb\xbf\n"), is_blank(b"{}")
    (True, True, False)
    """
    return not without_mark(line).strip()
