"""Small changes of the events of a test, which must not change its result: 1 ms more or less, or another order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from models.events import Event
from models.journey_tests.written import WrittenTest

MAX_APART_MS = 60_000
"""Maximum time between two neighbours that come in another order, milliseconds."""


class Shake(NamedTuple):
    """A change of one event.

    Attributes
    ----------
    step
        Index of the step.
    by
        Milliseconds by which its event comes later.
    swaps
        Whether it comes after the event of the next step, with its own time.
    """

    step: int
    by: int = 0
    swaps: bool = False

    def __str__(self) -> str:
        """Return the change in words."""
        if self.swaps:
            return f"steps[{self.step}] comes after the next event"
        return f"steps[{self.step}] is shifted by {self.by:+d} ms"

    @property
    def slack(self) -> int:
        """Time by which instants may differ from the expected ones, milliseconds."""
        return 0 if self.swaps else 2

    def moved(self, step: int) -> int:
        """Return by how much the event of a step comes later, milliseconds."""
        return self.by if step == self.step else 0

    def order(self, steps: Sequence[int], events: Mapping[int, Event]) -> list[int]:
        """Return the indexes of the steps in the order in which they are played."""
        found = list(steps)
        if self.swaps and self.step in events:
            place = found.index(self.step)
            following = found[place + 1] if place + 1 < len(found) else -1
            if following in events and abs(events[following].at - events[self.step].at) <= MAX_APART_MS:
                found[place], found[place + 1] = following, self.step
        return found


def shakes_of(test: WrittenTest) -> Iterator[Shake]:
    """Yield the changes of a test: each event 1 ms earlier and later, and each pair of neighbours exchanged."""
    for i, step in enumerate(test.steps):
        if step.event is None:
            continue
        yield from (Shake(i, by) for by in (-1, 1))
        if i + 1 < len(test.steps) and test.steps[i + 1].event is not None:
            yield Shake(i, swaps=True)
