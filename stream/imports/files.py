"""Reading of a file of any size as lines of text."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Generator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from models.imports.tables import BadTable

ENCODINGS: Final = ("utf-8", "utf-16", "latin-1")
"""Encodings that a person may state. Without a statement, it is UTF-8, or what a byte order mark says."""
_CHUNK = 1 << 16
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises
    ------
    BadTable
        The file cannot be read.
    """
    found = sha256()
    with _opened(path) as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def lines_of(
    path: Path, encoding: str | None, read: Callable[[int], None] = lambda _: None
) -> Generator[str, None, None]:
    """Yield the lines of a file with their ends, without a byte order mark. Close it, so that the file is closed.

    Parameters
    ----------
    path
        The file.
    encoding
        The encoding that a person has stated.
    read
        Called from time to time with the number of bytes read.

    Raises
    ------
    BadTable
        The file cannot be read, or it is not text in this encoding; the message names the line and the byte.
    """
    with _opened(path) as file:
        name = _encoding(file, encoding)
        try:
            with io.TextIOWrapper(file, encoding=name, newline="") as lines:
                for number, line in enumerate(lines):
                    if number % 1_000 == 0:
                        read(file.tell())
                    yield line
        except UnicodeDecodeError:
            raise BadTable(_bad_byte(path, name)) from None
        except OSError as error:
            raise BadTable(f"{path}: cannot be read: {error.strerror or error}") from error


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadTable(f"{path}: cannot be read: {error.strerror or error}") from error


def _encoding(file: BinaryIO, stated: str | None) -> str:
    begin = file.read(4)
    file.seek(0)
    marked = next((name for mark, name in _MARKS if begin.startswith(mark)), None)
    if marked is not None or stated is None:
        return marked or "utf-8"
    # Without a mark, the codec would take the order of this machine; files come from machines of the other kind.
    return "utf-16-le" if stated == "utf-16" else stated


def _bad_byte(path: Path, encoding: str) -> str:
    """Return what is wrong with a file that is not text in an encoding."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            try:
                line += decoder.decode(chunk, final=not chunk).count("\n")
            except UnicodeDecodeError as error:
                line += error.object[: error.start].decode(encoding, "ignore").count("\n")
                found = (
                    f"the byte 0x{error.object[error.start]:02x}" if error.start < len(error.object) else "half a sign"
                )
                hint = "state --encoding latin-1 if the file is in Latin-1 or Windows-1252"
                return f"{path}: line {line}: found {found}; allowed: text in {encoding.removesuffix('-sig')}; {hint}"
            if not chunk:
                return f"{path}: allowed: text in {encoding}"
