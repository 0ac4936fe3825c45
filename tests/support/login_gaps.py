"""Visitors who log in while the records between their two profiles arrive after any delay, and what must hold then."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from models.batch import Output
from models.delivery.calls import Call
from models.delivery.deliveries import Result
from models.engage.decisions import Decision
from models.events import ANONYMOUS, Event, EventType, OrderLine
from models.log import Tick, encode_control, is_control
from models.profile.codec import unpack
from models.units import DAY, HOUR, MINUTE, SECOND
from tests.support.login_shop import EMAIL, shop
from tests.support.mailroom import Mailroom
from tests.support.persons import Persons

CART_LEFT_MS = HOUR
"""How long a cart is left before its reminder, milliseconds."""
_CARTS = ("cart_add", "cart_remove", "purchase")
_decode = msgspec.json.Decoder(Decision).decode


class Pair(NamedTuple):
    """The two ids of a person."""

    user: str
    visitor: str


class _Known(NamedTuple):
    """Users before a step: those whose visitor is merged, those with an owner, and those who await records."""

    merged: frozenset[str]
    owned: frozenset[str]
    awaiting: frozenset[str]


class LoginGaps:
    """Persons with a cart, a consent and messages, who log in at random times.

    Parameters
    ----------
    seed
        Seed of the configuration, the events and all delays.
    count
        Number of persons.
    more
        Settings that replace random ones.

    Attributes
    ----------
    persons, mailroom
        The folds, and delivery behind them.
    told
        The events, without repeats, in the order of their arrival.
    decided
        The decisions, in their order.
    faults
        Descriptions of everything that must not happen.
    """

    def __init__(self, seed: int, count: int = 2, **more: Any) -> None:
        self.rng = random.Random(seed)
        self.settings = _settings(self.rng) | more
        self.persons: Persons = shop(repeats=self.rng.random() < 0.3, **self.settings)
        self.mailroom = Mailroom(self.persons)
        self.pairs = [Pair(f"u{number}", f"{ANONYMOUS}a{number}") for number in range(1, count + 1)]
        self.told: list[Event] = []
        self.decided: list[Decision] = []
        self.faults: list[str] = []
        self._of = {key: pair for pair in self.pairs for key in pair}
        self._replaced: set[str] = set()

    def __repr__(self) -> str:
        """Show the amounts."""
        return f"LoginGaps({len(self.told)} events, {len(self.decided)} decisions)"

    # --- steps -----------------------------------------------------------------------------------------------------

    def tell(self, user: str, kind: EventType, **more: Any) -> Event:
        """Let an event happen a moment after everything before it; it may come twice."""
        self.persons.now += 1
        at = more.pop("at", self.persons.now)
        event = Event(id=f"m{len(self.told)}", user=user, type=kind, at=at, **more)
        self._step(lambda: self.persons.tell(event), event)
        if self.rng.random() < 0.05:
            self._step(lambda: self.persons.tell(event))
        return event

    def log_in(self, pair: Pair) -> None:
        """Let a visitor log in; nothing of it has arrived yet."""
        self.tell(pair.user, "identify", anonymous=pair.visitor)

    def register(self, user: str) -> None:
        """Let a user state an address and consent."""
        self.tell(user, "identify", traits=EMAIL)
        self.tell(user, "consent", granted=True)

    def wait(self, ms: int) -> None:
        """Let time pass; each partition may or may not see it."""
        self.persons.now += ms
        for number in range(len(self.persons.logs)):
            if self.rng.random() < 0.7:
                self._tick(number)

    def arrive(self) -> None:
        """Let some of the records arrive that are on their way to one partition."""
        number, count = self.rng.randrange(len(self.persons.logs)), self.rng.choice((1, 1, 2, 9))
        if self.rng.random() < 0.5:
            self._tick(number)

        def act() -> None:
            self.persons.route_some(number, count)
            self.persons.fold()

        self._step(act)

    def deliver(self, calls: int) -> None:
        """Let delivery read what it has to do, and let some messages leave."""
        self.mailroom.work(calls, self._answer)

    def restart(self) -> None:
        """Let all processes begin again."""
        self.persons.restart()
        self.mailroom.restart()

    def settle(self, rounds: int = 3) -> None:
        """Let everything arrive and leave."""
        for _ in range(rounds):
            while self.persons.on_their_way:
                for number in range(len(self.persons.logs)):
                    self._step(partial(self._route, number))
            self.deliver(9)

    def pass_days(self, days: int = 2) -> None:
        """Let days pass in which everything arrives and leaves."""
        for _ in range(days * 8):
            self.persons.now += 3 * HOUR
            for number in range(len(self.persons.logs)):
                self._tick(number)
            self.settle(2)

    def _route(self, number: int) -> None:
        self.persons.route_some(number, 99)
        self.persons.fold()

    def _tick(self, number: int) -> None:
        record = (number, *encode_control(Tick(at=self.persons.now)))
        self._step(lambda: self.persons.write_at([record]))

    def _answer(self, call: Call) -> Result:
        """Answer as a provider, and look whether the message may leave."""
        message = call.message
        known = self.persons.user(message.user)
        if message.category == "marketing":
            if known.identity is not None and known.identity.owner is not None:
                self.faults.append(f"{message.id} leaves to {message.user}, who has logged in")
            consent = known.facts.consent.get("email")
            if consent is None or not consent.granted:
                self.faults.append(f"{message.id} leaves to {message.user} without consent")
        return self.rng.choice((Result("delivered"), Result("delivered"), Result("failed", "451 later")))

    # --- what must hold at each step -------------------------------------------------------------------------------

    def _step(self, act: Callable[[], object], *events: Event) -> None:
        written, known = len(self.persons.written), self._known()
        act()
        for output in self.persons.written[written:]:
            if output.topic == "events.rejected":
                self.faults.append(f"rejected: {output.value!r}")
            if output.topic == "decisions" and output.value is not None:
                decision = _decode(output.value)
                self._check(decision, known)
                self.decided.append(decision)
        self.told += events
        counted = sum(self.counted().values(), Counter[str]())
        excess = counted - Counter(one.type for one in self.told)
        if excess:
            self.faults.append(f"counted more than once: {dict(excess)}")

    def _known(self) -> _Known:
        merged, owned = set(), set()
        for pair in self.pairs:
            for key in pair:
                identity = self.persons.user(key).identity if self.persons.has(key) else None
                if identity is not None and identity.owner is not None:
                    owned.add(key)
                links = {} if identity is None else identity.links
                if pair.visitor in links and links[pair.visitor].merge:
                    merged.add(pair.user)
        awaiting = {key for one in self.persons.on_their_way for key in self._of[one]}
        return _Known(frozenset(merged), frozenset(owned), frozenset(awaiting))

    def _check(self, decision: Decision, known: _Known) -> None:
        """Check a decision against everything that its profile has read before the step."""
        user, pair = decision.user, self._of[decision.user]
        if decision.replaces:
            self._replaced.add(decision.replaces)
        if user in known.owned:
            self.faults.append(f"{decision.at}: {user} decides after the login was read")
        if decision.outcome != "sent" or decision.category != "marketing":
            return
        has_all = user in known.merged and user not in known.awaiting
        read = [one for one in self.told if one.user == user or (has_all and one.user in pair)]
        self._check_consent(decision, pair, read)
        has_own = user == pair.visitor or user not in self._known().merged
        carts = [one for one in read if one.type in _CARTS] if has_all or has_own else []
        if decision.rule == "cart" and carts and max(carts, key=_when).type == "purchase":
            self.faults.append(f"{decision.at}: {user} is reminded of a cart that was bought")
        self._check_caps(decision, pair if user in known.merged else (user,))

    def _check_consent(self, decision: Decision, pair: Pair, read: Iterable[Event]) -> None:
        stated = [one for one in read if one.type == "consent"]
        if not stated:
            return
        newest = max(stated, key=_when)
        later = [one for one in self.told if one.user in pair and one.granted and one.at > newest.at]
        if not newest.granted and not later:
            self.faults.append(f"{decision.at}: {decision.user} gets {decision.rule} after a withdrawal")

    def _check_caps(self, decision: Decision, ids: tuple[str, ...]) -> None:
        statuses = self.mailroom.statuses
        for cap in self.settings["caps"]:
            begin = decision.at - (DAY if cap["within"] == "1d" else 2 * DAY)
            counted = [
                one.id
                for one in self.standing
                if one.user in ids and one.category == "marketing" and one.at > begin
                if statuses.get(one.id) != "withdrawn"
            ]
            if len(counted) >= cap["messages"]:
                self.faults.append(f"{decision.at}: {decision.user} gets {decision.rule} beyond {cap}")

    @property
    def standing(self) -> list[Decision]:
        """The decisions to send a message that was not handed over to another profile."""
        return [one for one in self.decided if one.outcome == "sent" and one.id not in self._replaced]

    # --- what must hold in the end ---------------------------------------------------------------------------------

    def counted(self) -> dict[str, Counter[str]]:
        """Return the events that each profile counts, without the outcomes of messages."""
        found = {}
        for state in self.persons.states:
            for key, packed in state.records.items():
                if not is_control(key):
                    counts = Counter(unpack(packed).facts.events)
                    told = {kind: count for kind, count in counts.items() if not kind.startswith("message_")}
                    found[key.decode()] = Counter(told)
        return found

    def check_end(self) -> None:
        """Check what holds when everything has arrived."""
        logged_in = {one.anonymous for one in self.told if one.anonymous}
        expected: dict[str, Counter[str]] = defaultdict(Counter)
        for one in self.told:
            pair = self._of[one.user]
            expected[pair.user if pair.visitor in logged_in else one.user][one.type] += 1
        found = {key: counts for key, counts in self.counted().items() if counts}
        if found != expected:
            self.faults.append(f"counted {found} instead of {dict(expected)}")
        for pair in self.pairs:
            self._check_cart(pair, is_one=pair.visitor in logged_in)
        left = [one.id for one in self.mailroom.sent]
        if len(left) != len(set(left)) or not self._replaced.isdisjoint(left):
            self.faults.append("a message left twice, or was handed over and left")

    def _check_cart(self, pair: Pair, *, is_one: bool) -> None:
        """Check that a bought cart is empty, and that each cart has at most one reminder."""
        carts = [one for one in self.told if one.user in pair and one.type in _CARTS]
        if is_one and carts and max(carts, key=_when).type == "purchase" and self.persons.user(pair.user).facts.cart:
            self.faults.append(f"{pair.user} still has a cart that was bought")
        reminders = [one.signal.at for one in self.standing if one.user in pair and one.rule == "cart"]
        changes = [one.at for one in carts if one.type != "purchase"]
        reminders.sort()
        for one, other in itertools.pairwise(reminders):
            if not any(one - CART_LEFT_MS < at <= other for at in changes):
                self.faults.append(f"{pair.user} is reminded twice of one cart: {one} and {other}")


def cut_again(persons: Persons, size: int) -> list[str]:
    """Fold the whole log again in batches of a size, and return what differs."""
    again = Persons(len(persons.logs))
    again.logs, again.now = persons.logs, persons.now
    again.fold(size)
    states = zip(persons.states, again.states, strict=True)
    found = [
        f"state {one.partition}" for one, other in states if (one.records, one.memo) != (other.records, other.memo)
    ]
    for name in ("written", "reported"):
        first, second = _by_key(getattr(persons, name)), _by_key(getattr(again, name))
        found += [f"{name} {key}" for key in first.keys() | second.keys() if first.get(key) != second.get(key)]
    return found


def _by_key(outputs: Iterable[Output]) -> dict[tuple[str, bytes], list[bytes | None]]:
    found: dict[tuple[str, bytes], list[bytes | None]] = {}
    for one in outputs:
        found.setdefault((one.topic, one.key), []).append(one.value)
    return found


def _when(event: Event) -> int:
    return event.at


def _settings(rng: random.Random) -> dict[str, Any]:
    """Return random rules, caps, quiet hours, and times within which events are put in order."""
    cooldown = rng.choice(({}, {}, {"cooldown": "1d"}))
    plain = {"template": "plain", "expires_after": "1d"}
    rules = [
        {"name": "cart", "when": {"cart_left": {"for": "1h"}}, **plain, **cooldown},
        {"name": "hello", "when": {"event": "hello"}, **plain},
        {"name": "receipt", "category": "transactional", "when": {"event": "receipt"}, **plain},
    ]
    caps = rng.choice(([], [], [{"messages": 1, "within": "1d"}], [{"messages": 2, "within": "2d"}]))
    begin = rng.randrange(24)
    quiet = {"from": f"{begin:02}:00", "to": f"{(begin + rng.randrange(1, 10)) % 24:02}:00"}
    chosen = {"rules": rules, "caps": caps, "events": {"order_within": rng.choice(("1m", "20m", "1h", "12h"))}}
    return chosen | ({"quiet_hours": quiet} if rng.random() < 0.4 else {})


def random_life(gaps: LoginGaps, steps: int) -> None:
    """Let everything happen in any sequence."""
    rng, grain = gaps.rng, gaps.rng.choice((SECOND, MINUTE, 10 * MINUTE, 40 * MINUTE))
    for pair in gaps.pairs:
        for key, chance in zip(pair, (0.8, 0.5), strict=True):
            if rng.random() < chance:
                gaps.register(key)
    for _ in range(steps):
        pair, made = rng.choice(gaps.pairs), rng.random()
        if made < 0.45:
            _happens(gaps, rng.choice(pair))
        elif made < 0.53:
            gaps.log_in(pair)
        elif made < 0.7:
            gaps.arrive()
        elif made < 0.85:
            gaps.wait(rng.choice((0, 1, 2, 6)) * grain)
        elif made < 0.95:
            gaps.deliver(rng.choice((0, 0, 1, 2)))
        else:
            gaps.restart()


def _happens(gaps: LoginGaps, user: str) -> None:
    """Let a random event of a user happen."""
    rng = gaps.rng
    kind: EventType = rng.choice(
        ("click", "cart_add", "cart_add", "cart_add", "cart_remove", "purchase", "custom", "custom", "consent")
    )
    more: dict[str, Any] = {"item": f"sku{rng.randrange(3)}", "amount": 5_000_000}
    if kind == "purchase":
        more = {"amount": 5_000_000, "lines": (OrderLine("sku1", 1, 5_000_000),)}
    elif kind == "custom":
        more = {"name": rng.choice(("hello", "receipt"))}
    elif kind == "consent":
        more = {"granted": rng.random() < 0.6}
    if rng.random() < 0.15:
        more["at"] = gaps.persons.now - rng.randrange(1, 2 * HOUR)
    gaps.tell(user, kind, **more)
