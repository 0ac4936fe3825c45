"""The bounds of what one render of a template may take, so that no template and no user's traits make it slow."""

from __future__ import annotations

from typing import Any, Protocol

from liquid.exceptions import FilterArgumentError

MAX_TEXT = 500_000
"""Maximum length of a text that a filter gives, characters."""
MAX_ITEMS = 50_000
"""Maximum length of a list that a filter takes or gives."""
MAX_WORK = 3_000_000
"""Maximum number of characters and elements that one render goes over: about three seconds."""
LOOKUP = 10
"""Work that looking up a variable counts as."""


class Work(Protocol):
    """The render that a filter is a part of.

    Attributes
    ----------
    autoescape
        Whether values are escaped for HTML.
    env
        Liquid's environment.
    """

    autoescape: bool
    env: Any

    def spend(self, amount: int) -> None:
        """Count work; raises where a render does more than :data:`MAX_WORK`."""

    def resolve(self, name: str) -> Any:
        """Return the value of a name."""


def size_of(value: Any) -> int:
    """Return what going over a value takes."""
    return len(value) + 1 if isinstance(value, str | list | tuple | range) else 1


def require_text(length: int) -> None:
    """Raise where a text would become longer than :data:`MAX_TEXT`."""
    if length > MAX_TEXT:
        raise FilterArgumentError(f"over the limit of a text, {MAX_TEXT:,} characters", token=None)


def require_items(count: int) -> None:
    """Raise where a list would become longer than :data:`MAX_ITEMS`."""
    if count > MAX_ITEMS:
        raise FilterArgumentError(f"over the limit of a list, {MAX_ITEMS:,} elements", token=None)
