"""The comments and the empty lines of a YAML text, with their places."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import yaml

_COMMENT = re.compile("#.*", re.DOTALL)


class Comment(NamedTuple):
    """A comment, or an empty line.

    Attributes
    ----------
    place
        Index of its first character in the text.
    text
        The comment, from ``#`` to the end of the line; empty for an empty line.
    is_alone
        Whether it has a line of its own.
    """

    place: int
    text: str
    is_alone: bool


class Comments:
    """The comments and empty lines of a text.

    Parameters
    ----------
    text
        The text.
    tokens
        Its tokens.

    Examples
    --------
    >>> text = "a: '#1' # one"
    >>> Comments(text, tokens_of(text)).between(0, len(text))
    [Comment(place=8, text='# one', is_alone=False)]
    """

    def __init__(self, text: str, tokens: Iterable[yaml.Token]) -> None:
        self._comments: list[Comment] = []
        done = 0
        # What is between two tokens is a blank, a line break or a comment.
        for token in tokens:
            self._comments += _comments(text, done, token.start_mark.index)
            done = max(done, token.end_mark.index)
        self._comments += _comments(text, done, len(text))
        self._places = [comment.place for comment in self._comments]

    def between(self, start: int, end: int) -> Sequence[Comment]:
        """Return the comments and empty lines that begin from ``start`` to before ``end``."""
        return self._comments[bisect_left(self._places, start) : bisect_left(self._places, end)]


def tokens_of(text: str) -> list[yaml.Token]:
    """Return the tokens of a YAML text."""
    return list(yaml.scan(text, Loader=yaml.SafeLoader))


def _comments(text: str, start: int, end: int) -> Iterator[Comment]:
    """Yield what is between two tokens. The first line continues the line of a token, and the last one precedes one."""
    lines = text[start:end].split("\n")
    for i, line in enumerate(lines):
        found = _COMMENT.search(line)
        if found is not None:
            is_alone = i > 0 and not line[: found.start()].strip()
            yield Comment(start + found.start(), found[0].rstrip(), is_alone)
        elif 0 < i < len(lines) - 1:
            yield Comment(start, "", is_alone=True)
        start += len(line) + 1
