"""Count from the file itself which visitors of trivago are in which segment, and how often they entered it.

Nothing is shared with the evaluator of conditions or with the reader of events. Each rule is a function that looks at
all actions of one visitor up to an instant. It is called at every instant at which its answer can change.
"""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS


class Action(NamedTuple):
    """A row of the file."""

    at: int
    name: str
    session: str
    reference: str


Rule: TypeAlias = Callable[[Sequence[Action], int], bool]
"""Whether a visitor with these actions, all not after an instant, is in the segment at the instant."""


def read_actions(path: Path) -> dict[str, list[Action]]:
    """Return the actions of each visitor, in the order of the file."""
    found: dict[str, list[Action]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as content:
        for row in csv.DictReader(content):
            at = int(row["timestamp"]) * SECOND_MS
            found[row["user_id"]].append(Action(at, row["action_type"], row["session_id"], row["reference"]))
    return found


def _backwards(actions: Sequence[Action], name: str, before: int | None = None) -> Iterator[int]:
    """Yield the places of the actions of a name, from the newest."""
    for place in range(len(actions) if before is None else before, 0, -1):
        if actions[place - 1].name == name:
            yield place - 1


def gave_up_after_filter(actions: Sequence[Action], now: int) -> bool:
    names = [action.name for action in actions]
    since_clickout = len(names) - names[::-1].index("clickout item") if "clickout item" in names else 0
    recent = actions[since_clickout:]
    newest_image = max((one.at for one in actions if one.name == "interaction item image"), default=actions[0].at)
    if now < newest_image + 30 * MINUTE_MS:
        return False
    for image in _backwards(recent, "interaction item image"):
        if recent[image].at <= now - 2 * HOUR_MS:
            return False
        at, session = recent[image].at, recent[image].session
        filters = (one for one in recent[:image] if one.name == "filter selection" and one.session == session)
        if any(at - one.at <= 2 * HOUR_MS for one in filters):
            return True
    return False


def sorted_and_chose(actions: Sequence[Action], now: int) -> bool:
    for clickout in _backwards(actions, "clickout item"):
        chosen = actions[clickout]
        if chosen.at <= now - HOUR_MS:
            return False
        for order in _backwards(actions, "change of sort order", clickout):
            if chosen.at - actions[order].at > MINUTE_MS:
                break
            if actions[order].session == chosen.session:
                return True
    return False


def search_filter_clickout(actions: Sequence[Action], now: int) -> bool:
    for clickout in _backwards(actions, "clickout item"):
        chosen = actions[clickout]
        if chosen.at <= now - 30 * MINUTE_MS:
            return False
        own = [one for one in actions[:clickout] if one.session == chosen.session]
        names = [one.name for one in own if chosen.at - one.at <= 30 * MINUTE_MS]
        begin = names.index("search for destination") if "search for destination" in names else len(names)
        if "filter selection" in names[begin:]:
            return True
    return False


def chose_what_they_looked_at(actions: Sequence[Action], now: int) -> bool:
    for clickout in _backwards(actions, "clickout item"):
        chosen = actions[clickout]
        if chosen.at <= now - 10 * MINUTE_MS:
            return False
        for image in _backwards(actions, "interaction item image", clickout):
            seen = actions[image]
            if chosen.at - seen.at > 2 * MINUTE_MS:
                break
            if (seen.session, seen.reference) == (chosen.session, chosen.reference) and seen.reference:
                return True
    return False


def sorts_by_price_twice(actions: Sequence[Action], now: int) -> bool:
    times: list[int] = []
    for action in reversed(actions):
        if action.name == "filter selection" and action.reference == "Sort by Price":
            times.append(action.at)
        # An action that ends the sequence may be the first step itself, but it is not here.
        if action.name in ("clickout item", "search for destination"):
            break
    return any(
        then > now - 6 * HOUR_MS and then - first <= 6 * HOUR_MS
        for place, then in enumerate(times)
        for first in times[place + 1 : place + 2]
    )


RULES: Mapping[str, Rule] = {
    "gave up after filter": gave_up_after_filter,
    "sorted and chose": sorted_and_chose,
    "search, filter, clickout": search_filter_clickout,
    "chose what they looked at": chose_what_they_looked_at,
    "sorts by price, twice": sorts_by_price_twice,
}
LOST_MS = HOUR_MS
"""How long a visitor who has given up is not yet lost, milliseconds."""
_DELAYS_MS = tuple(minutes * MINUTE_MS for minutes in (10, 30, 60, 120, 360))
"""How long after an action an answer may change, milliseconds."""

Period: TypeAlias = tuple[int, int | None]
"""Time in which a visitor is in a segment: from an instant, until before another one, or to the end."""


def periods_of(actions: Sequence[Action], rule: Rule, until: int) -> Iterator[Period]:
    """Yield the periods in which a visitor is in a segment."""
    begin = None
    for instant, seen in _moments(actions, until):
        holds = rule(actions[:seen], instant)
        if holds and begin is None:
            begin = instant
        elif not holds and begin is not None:
            yield begin, instant
            begin = None
    if begin is not None:
        yield begin, None


def lost_after(periods: Iterable[Period], until: int) -> Iterator[Period]:
    """Yield the parts of periods in which a visitor has been in the segment for long enough."""
    for begin, end in periods:
        if begin + LOST_MS <= until and (end is None or end > begin + LOST_MS):
            yield begin + LOST_MS, end


def _moments(actions: Sequence[Action], until: int) -> Iterator[tuple[int, int]]:
    """Yield each instant at which an answer may change, with the number of actions seen by then.

    What changes by itself at the time of an action changes before the action.
    """
    waiting = deque(sorted({action.at + delay for action in actions for delay in _DELAYS_MS}))
    for seen, action in enumerate(actions):
        if action.at > until:
            break
        while waiting and waiting[0] <= action.at:
            yield waiting.popleft(), seen
        yield action.at, seen + 1
    seen = sum(action.at <= until for action in actions)
    while waiting and waiting[0] <= until:
        yield waiting.popleft(), seen
