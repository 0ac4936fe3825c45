"""Rewriting of a settings file in its canonical form."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from models.configuration.parsing import parse
from models.encoding import BYTE_ORDER_MARK, TEXT
from models.errors import InvalidConfiguration
from stream.settings import sources
from stream.settings.formatting import SECTIONS, Formatted, formatted


class Rewritten(NamedTuple):
    """The canonical form of a file.

    Attributes
    ----------
    content
        The bytes.
    changed
        Whether they differ from those of the file.
    notes
        Which sections are left as they are, each with the reason.
    """

    content: bytes
    changed: bool
    notes: tuple[str, ...]


def rewritten(file: Path) -> Rewritten:
    """Read a settings file, and return its canonical form. The ends of its lines and its byte order mark stay.

    Raises
    ------
    InvalidSettings
        The file cannot be read, or its segments or its lifecycle have a mistake.
    """
    given = sources.read_file(file)
    try:
        parse({name: value for name, value in given.values.items() if name in SECTIONS and value is not None}, {})
    except InvalidConfiguration as error:
        raise given.explain(error, secret=False) from error
    before = file.read_bytes()
    mark = BYTE_ORDER_MARK if before.startswith(BYTE_ORDER_MARK) else b""
    text = before.decode(TEXT)
    plain = text.replace("\r\n", "\n")
    has_returns = plain != text
    if "\r" in plain or (has_returns and plain.replace("\n", "\r\n") != text):
        result = Formatted(text, ("the conditions are left as they are: the lines of the file end in different ways",))
    else:
        result = formatted(plain)
        if has_returns:
            result = result._replace(text=result.text.replace("\n", "\r\n"))
    content = mark + result.text.encode()
    return Rewritten(content, content != before, result.notes)


def replace(file: Path, content: bytes) -> None:
    """Replace the content of a file at once, so that another process reads the old or the new one.

    A link stays a link, and the permissions stay.
    """
    target = file.resolve()
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False) as draft:
        path = Path(draft.name)
        try:
            draft.write(content)
            draft.flush()
            shutil.copymode(target, path)
            path.replace(target)
        except BaseException:
            path.unlink()
            raise
