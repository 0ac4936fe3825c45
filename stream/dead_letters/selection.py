"""Selection of dead letters."""

from __future__ import annotations

from dataclasses import dataclass

from stream.dead_letters.reading import Letter


@dataclass(frozen=True, slots=True)
class Selection:
    """A set of filters, all of which a letter must pass.

    Attributes
    ----------
    ids
        Ids of the letters; an empty set selects any id.
    reason
        Reason of the rejection.
    since
        Earliest time of the rejection, milliseconds.
    source
        The topic that the record came from, or the beginning of the topic's name: ``events.in``, ``door:``, ``file:``.

    Examples
    --------
    >>> Selection().is_everything, Selection(reason="bad_time").is_everything
    (True, False)
    """

    ids: frozenset[str] = frozenset()
    reason: str | None = None
    since: int | None = None
    source: str | None = None

    @property
    def is_everything(self) -> bool:
        """Whether no letter is left out."""
        return self == Selection()

    def takes(self, letter: Letter) -> bool:
        """Return whether a letter passes all filters."""
        rejected = letter.rejected
        return (
            (not self.ids or letter.id in self.ids)
            and (self.reason is None or rejected.reason == self.reason)
            and (self.since is None or rejected.at >= self.since)
            and (self.source is None or rejected.topic.startswith(self.source))
        )
