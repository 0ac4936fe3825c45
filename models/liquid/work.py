"""Limits for one render of a template, so that neither a template nor a user's traits can make it slow."""

from __future__ import annotations

from typing import Any, Protocol

from liquid.exceptions import FilterArgumentError

MAX_TEXT = 500_000
"""Maximum length of a text that a filter returns, characters."""
MAX_ITEMS = 50_000
"""Maximum length of a list that a filter takes or returns."""
MAX_WORK = 3_000_000
"""Maximum number of characters and elements that one render processes; this work takes about three seconds."""
LOOKUP = 10
"""Work of looking up one variable, in the unit of :data:`MAX_WORK`."""


class Work(Protocol):
    """The render in which a filter runs.

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
        """Count work, and raise an error if the render does more than :data:`MAX_WORK`."""

    def resolve(self, name: str) -> Any:
        """Return the value of a name."""


def size_of(value: Any) -> int:
    """Return the work of processing a value, in the unit of :data:`MAX_WORK`."""
    return len(value) + 1 if isinstance(value, str | list | tuple | range) else 1


def require_text(length: int) -> None:
    """Raise an error if a text would become longer than :data:`MAX_TEXT`."""
    if length > MAX_TEXT:
        raise FilterArgumentError(f"over the limit of a text, {MAX_TEXT:,} characters", token=None)


def require_items(count: int) -> None:
    """Raise an error if a list would become longer than :data:`MAX_ITEMS`."""
    if count > MAX_ITEMS:
        raise FilterArgumentError(f"over the limit of a list, {MAX_ITEMS:,} elements", token=None)
