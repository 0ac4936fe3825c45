"""Random logs in which links are split, and the same logs in which these links never existed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.events import Event, OrderLine
from models.fold.members import KEY as MEMBERS
from models.fold.members import read_members
from models.fold.stages import STAGES_KEY, read_stages
from models.identity.split_plan import NotLinked
from models.identity.splitting import KEPT
from models.log import Tick, Use
from models.profile.state import Customer
from models.units import DAY, HOUR, MINUTE
from tests.support.event_logs import START
from tests.support.persons import Persons
from tests.support.splitting import split

USERS, VISITORS = ("u1", "u2"), ("anonymous:a1", "anonymous:a2", "anonymous:a3")
PAIR = ("u1", "anonymous:a1")
SEGMENTS = [
    {"name": "viewers", "when": {"event": "product_view", "times": {"at_least": 3}, "within": "2d"}},
    {"name": "silent", "when": {"absent": "click", "for": "1d"}},
    {
        "name": "spenders",
        "when": {"event": "purchase", "sum": "amount", "currency": "USD", "at_least": 9, "within": "5d"},
    },
    {"name": "paying", "when": {"trait": "plan", "is": "pro"}},
    {"name": "lasting", "when": {"segment": "viewers", "for": "6h"}},
]
CONFIGURATION = {"segments": SEGMENTS, "lifecycle": {"defaults": "purchases"}}


def use() -> Use:
    """Return the record that puts the segments and the lifecycle into use."""
    return Use("configuration", 1, msgspec.Raw(encode(parse(CONFIGURATION, {}))))


class Deeds:
    """Random events of some users and visitors, at random times of the wall clock; some are late or come twice."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = START
        self._number = 0
        self._last: list[Event] = []

    def next(self) -> Event:
        """Return an event that arrives some time later."""
        rng = self.rng
        self.now += rng.choice((1, 1_000, 20_000, MINUTE, 40 * MINUTE, 5 * HOUR, 14 * HOUR))
        if self._last and rng.random() < 0.06:
            return rng.choice(self._last)
        self._number += 1
        late = rng.choice((0, 0, 0, 0, MINUTE, 3 * HOUR, 30 * HOUR))
        user = rng.choice((*USERS, *VISITORS, PAIR[1], PAIR[0]))
        kind: Any = rng.choice(("product_view", "product_view", "click", "cart_add", "purchase", "rating", "identify"))
        event = self._event(user, kind, max(self.now - late, START))
        self._last = [*self._last[-9:], event]
        return event

    def _event(self, user: str, kind: Any, at: int) -> Event:
        rng, number = self.rng, self._number
        common: dict[str, Any] = {"id": f"m{number}", "user": user, "type": kind, "at": at}
        match kind:
            case "purchase":
                line = OrderLine(f"sku{number % 4}", 1, 4_000_000)
                return Event(order=rng.choice((f"o{number}", None)), amount=4_000_000, lines=(line,), **common)
            case "rating":
                return Event(item="sku1", rating=float(rng.randrange(1, 6)), **common)
            case "identify":
                return Event(traits={rng.choice(("plan", "city")): rng.choice(("pro", "free"))}, **common)
        return Event(item=f"sku{number % 4}", category=f"c{number % 3}", amount=4_000_000, **common)

    def login(self, pair: tuple[str, str], *, is_again: bool = False) -> Event:
        """Return an event that links two ids; after a split, only a login does."""
        self._number += 1
        kind: Any = "identify" if is_again else self.rng.choice(("identify", "identify", "click"))
        return Event(id=f"m{self._number}", user=pair[0], type=kind, at=self.now, item="sku1", anonymous=pair[1])


Pair = tuple[str, str]
Act = Callable[[Persons], object]


class World:
    """A log in which links are made and split, and one in which those that were split never existed.

    Parameters
    ----------
    seed
        Seed of everything.
    pairs
        The links that are made at random.
    first
        What happens first; by default, the segments and the lifecycle are put into use.
    """

    def __init__(self, seed: int, pairs: Sequence[Pair], first: Act = lambda world: world.control(use())) -> None:
        self.deeds, self.rng = Deeds(seed), random.Random(seed)
        self.real = Persons(3, repeats=seed % 3 == 0)
        self.until: dict[Pair, int] = {}
        self._pairs = pairs
        self._acts: list[Act | tuple[int, Event]] = []
        self._repeats = seed % 3 == 0
        self._splits = 0
        self.do(first)

    def do(self, act: Act) -> None:
        """Let something happen in both logs."""
        self._acts.append(act)
        act(self.real)

    def tell(self, event: Event) -> None:
        """Let an event arrive now."""
        self._acts.append((self.deeds.now, event))
        _tell(self.real, self.deeds.now, event)

    def log_in(self, pair: Pair) -> None:
        """Let a visitor log in."""
        self.tell(self.deeds.login(pair, is_again=pair in self.until))

    def happen(self, count: int, *, links: bool = True) -> None:
        """Let some events happen; some of them link ids, and the router moves what is on its way."""
        for _ in range(count):
            self.tell(self.deeds.next())
            if links and self.rng.random() < 0.2:
                self.log_in(self.rng.choice(self._pairs))
            if self.rng.random() < 0.5:
                self.do(Persons.route)
                self._tick()

    def settle(self) -> None:
        """Let nothing be on its way."""
        self._tick()
        self.do(Persons.settle)

    def _tick(self) -> None:
        """Move the clock of all partitions, because the records of the link do so in only one of the two logs."""
        self.do(lambda world: world.control(Tick(at=0)))

    def pass_days(self, days: int) -> None:
        """Let time pass."""
        self.do(lambda world: world.pass_time(days * DAY))
        self.deeds.now = self.real.now

    def split(self, pair: Pair) -> int:
        """Split a link while events go on, and return the number of control records; 0 if the two are not linked."""

        def between() -> None:
            if self.rng.random() < 0.5:
                self.happen(self.rng.randrange(1, 4), links=False)
            self._tick()

        self._splits += 1
        until, before = self.real.now, self.until.get(pair)
        self.until[pair] = until
        try:
            return split(self.real, *pair, f"s{self._splits}", between)
        except NotLinked:
            self.until[pair] = before or 0
            return 0

    def without(self) -> Persons:
        """Return the log in which the links that were split never existed."""
        world = Persons(3, repeats=self._repeats)
        for act in self._acts:
            if isinstance(act, tuple):
                now, event = act
                is_kept = event.anonymous is None or event.at > self.until.get((event.user, event.anonymous), 0)
                _tell(world, now, event if is_kept else replace(event, anonymous=None))
            else:
                act(world)
        return world


def _tell(world: Persons, now: int, event: Event) -> None:
    world.now = max(world.now, now)
    world.tell(event)


def followed(customer: Customer) -> dict[str, Any]:
    """Return what follows from the events of a user."""
    ledger = customer.ledger
    found = {name: getattr(ledger, name) for name in ledger.__struct_fields__ if name not in (*KEPT, "timers")}
    timers = sorted(
        (timer.name, timer.due) for timer in ledger.timers if timer.name not in ("pending", "label", "forget")
    )
    facts = {name: getattr(customer.facts, name) for name in customer.facts.__struct_fields__}
    return {**found, "timers": timers, **facts}


def counted(persons: Persons) -> dict[str, Any]:
    """Return the number of members of each segment, and of the users in each stage."""
    found: Counter[str] = Counter()
    for state in persons.states:
        found.update(read_stages(state.records.get(STAGES_KEY)).users)
        for key, content in state.records.items():
            if key.startswith(MEMBERS):
                found[key.decode()] += read_members(content).number
    return +found
