"""Reading of files of recorded interactions, in three formats: JSON Lines, RecBole's and LightGCN's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from models.errors import PerennialError
from models.recommend.interactions import Interaction, decode_interaction


class InvalidInteractions(PerennialError, ValueError):
    """A file of interactions cannot be read. Correct it, or give another one.

    Parameters
    ----------
    source
        Name of the file.
    line
        Line of the mistake, from 1; 0 means the whole file.
    what
        Description of the mistake.
    """

    def __init__(self, source: str, line: int, what: str) -> None:
        self.source = source
        self.line = line
        super().__init__(f"{source}: line {line}: {what}" if line else f"{source}: {what}")


def read_json_lines(source: str, lines: Iterable[str]) -> Iterator[Interaction]:
    """Read interactions in the form of the topic ``interactions``, one per line.

    Raises
    ------
    InvalidInteractions
        A line is not an interaction.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield decode_interaction(line.encode())
            except msgspec.DecodeError as error:
                raise InvalidInteractions(source, number, str(error)) from error


def read_atomic(source: str, lines: Iterable[str]) -> Iterator[Interaction]:
    r"""Read RecBole's atomic files: tab-separated, with columns ``user_id``, ``item_id`` and ``timestamp`` (seconds).

    Every row is one interaction of weight 1; ratings are ignored.

    Raises
    ------
    InvalidInteractions
        A column is missing, or a line has a wrong value.

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
    """Read LightGCN's splits: each line is a user and then the user's items, all numbers.

    Raises
    ------
    InvalidInteractions
        A line does not have this form.

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
