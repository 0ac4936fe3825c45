"""Rows of recorded interactions into :class:`Interaction`; every data set of the field is one of three shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from models.errors import PerennialError
from models.recommend.interactions import Interaction, decode_interaction


class InvalidInteractions(PerennialError, ValueError):
    """A file of interactions cannot be read: correct it, or name another.

    Parameters
    ----------
    source
        The file.
    line
        Where, from 1; 0 is the whole file.
    what
        What is wrong, in words.
    """

    def __init__(self, source: str, line: int, what: str) -> None:
        self.source = source
        self.line = line
        super().__init__(f"{source}: line {line}: {what}" if line else f"{source}: {what}")


def read_json_lines(source: str, lines: Iterable[str]) -> Iterator[Interaction]:
    """Read interactions as they stand in the topic of that name, one a line.

    Raises
    ------
    InvalidInteractions
        At the first line that is none.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield decode_interaction(line.encode())
            except msgspec.DecodeError as error:
                raise InvalidInteractions(source, number, str(error)) from error


def read_atomic(source: str, lines: Iterable[str]) -> Iterator[Interaction]:
    r"""Read RecBole's atomic files: tab-separated, a header with ``user_id``, ``item_id``, ``timestamp`` (seconds).

    Every row is one interaction of weight 1, whatever its rating.

    Raises
    ------
    InvalidInteractions
        At the first line that does not fit.

    Examples
    --------
    >>> lines = ["user_id:token\titem_id:token\ttimestamp:float", "u1\tmug\t881250949"]
    >>> next(read_atomic("f", lines)).at
    881250949000
    """
    rows = enumerate(lines, start=1)
    names = [name.partition(":")[0] for name in next(rows, (1, ""))[1].strip().split("\t")]
    wanted = ("user_id", "item_id", "timestamp")
    if missing := [name for name in wanted if name not in names]:
        raise InvalidInteractions(source, 1, f"no column {missing[0]}; found {', '.join(names)}")
    user, item, stamp = (names.index(name) for name in wanted)
    for number, line in rows:
        values = line.rstrip("\n").split("\t")
        try:
            at = int(float(values[stamp]) * 1000)
            yield Interaction(user=values[user], item=values[item], weight=1.0, at=at, type="click")
        except (IndexError, ValueError) as error:
            raise InvalidInteractions(source, number, f"found {line.strip()[:60]!r}: {error}") from error


def read_adjacency(source: str, lines: Iterable[str]) -> Iterator[tuple[int, list[int]]]:
    """Read LightGCN's splits: a line is a user, then the user's items, all numbers.

    Raises
    ------
    InvalidInteractions
        At the first line that is not so.

    Examples
    --------
    >>> list(read_adjacency("f", ["0 5 7", "1"]))
    [(0, [5, 7]), (1, [])]
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            user, *items = (int(value) for value in line.split())
        except ValueError as error:
            raise InvalidInteractions(source, number, f"found {line.strip()[:60]!r}; allowed: numbers") from error
        if user < 0 or min(items, default=0) < 0:
            raise InvalidInteractions(source, number, "found a negative number; allowed: numbers from 0")
        yield user, items
