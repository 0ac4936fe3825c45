"""Which dead letters are meant."""

from __future__ import annotations

from dataclasses import dataclass

from stream.dead_letters.reading import Letter


@dataclass(frozen=True, slots=True)
class Selection:
    """Filters that all have to hold.

    Attributes
    ----------
    ids
        One of these; none: any.
    reason
        This reason.
    since
        Rejected at that time or later, milliseconds.
    source
        The topic that it came from, or how that begins: ``events.in``, ``door:``, ``file:``.

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
        """Whether nothing is left out."""
        return self == Selection()

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        rejected = letter.rejected
        return (
            (not self.ids or letter.id in self.ids)
            and (self.reason is None or rejected.reason == self.reason)
            and (self.since is None or rejected.at >= self.since)
            and (self.source is None or rejected.topic.startswith(self.source))
        )
