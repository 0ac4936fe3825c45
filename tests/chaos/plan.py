"""From a seed to what happens in a round: who dies where, who is stalled, what the provider does, and when.

Nothing but the seed decides, so a round that failed can be played again. (What the machine is doing at that moment is
its own: a random moment is the same second, and not the same instruction. The named points are.)

What happens to learners is drawn apart from the rest, so that a seed's folds and deliveries fared alike before there
were any. On the embedded broker nobody is stalled: it has nothing that could shut a former owner out.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from tests.chaos.faults import Action, Fault, Point
from tests.chaos.sink import Mood

Kind = Literal[
    "kill", "commit", "stall", "delivery", "rebalance", "restore", "frozen", "broker", "provider", "disk",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
Broker = Literal["kafka", "embedded"]
BROKERS: tuple[Broker, ...] = get_args(Broker)
EMBEDDED_KINDS: tuple[Kind, ...] = ("kill", "commit", "delivery", "restore", "provider")
"""What makes sense there: it has neither transactions nor a disk, and forgets everything when it ends."""
Act = Literal["kill", "terminate", "join", "leave", "broker", "slow", "disk", "mood"]

LOAD_S = 13.0
"""So long events come in; a full disk takes longer than that, and they go on until it is over."""
DISK_S = 30.0
SLOW_LOAD_S = 20.0
"""A broker that is away twice takes longer, too."""
EMBEDDED_LOAD_S = 10.0


class Deed(NamedTuple):
    """Something that is done to the house from outside.

    Attributes
    ----------
    at_s
        Seconds after the first event.
    act
        What: ``kill``, ``terminate`` and ``leave`` (SIGTERM, and nobody in its place) a process, let another one
        ``join``, ``kill -9`` the ``broker`` and start it again, stop it for a while (``slow``), fill its ``disk``,
        change the provider's ``mood``.
    whom
        Name of a process (``fold-0``); of ``join`` its role; or a mood.
    for_s
        How long, where it lasts.
    """

    at_s: float
    act: Act
    whom: str = ""
    for_s: float = 0.0

    def __str__(self) -> str:
        """In words."""
        lasts = f" for {self.for_s:.1f} s" if self.for_s else ""
        return f"{self.act} {self.whom} at {self.at_s:.1f} s{lasts}".replace("  ", " ")


@dataclass(frozen=True)
class Plan:
    """One round.

    Attributes
    ----------
    seed, kind
        Of it.
    folds, delivers, learns
        Processes of each role at its beginning; beside them stands one HTTP door.
    faults
        By process: what each of its lives does to itself, from the first one on.
    deeds
        By time.
    stall_s
        So much longer than its session a stopped process stays so.
    rejoin
        Whether another of its role joins as soon as a stopped process is awake again: a second rebalance beside it.
    load_s
        So long events come in.
    broker
        What it is played on.
    """

    seed: int
    kind: Kind
    folds: int
    delivers: int
    faults: dict[str, tuple[tuple[Fault, ...], ...]] = field(default_factory=dict)
    deeds: tuple[Deed, ...] = ()
    stall_s: float = 1.0
    rejoin: bool = False
    load_s: float = LOAD_S
    learns: int = 1
    broker: Broker = "kafka"

    def __str__(self) -> str:
        """In words, for the log of a round."""
        faults = [
            f"{who}: {' then '.join(' '.join(map(str, life)) for life in lives)}" for who, lives in self.faults.items()
        ]
        there = f"{self.folds} folds, {self.delivers} delivers, {self.learns} learns"
        return f"{self.kind} (seed {self.seed}), {there}; {'; '.join([*faults, *map(str, self.deeds)])}"


_COMMIT: tuple[Point, ...] = ("commit.before", "commit.sending", "commit.sent", "commit.ending", "commit.after")
_LESSON: tuple[Point, ...] = (*_COMMIT, "tell.before", "tell.after")
_RELAY: tuple[Point, ...] = ("relay.before", "relay.sent", "relay.after")
_PROVIDER: tuple[Point, ...] = ("provider.before", "provider.in", "provider.after")
_SEND: tuple[Point, ...] = ("provider.in", "provider.after", "provider.before", "provider.in", "provider.after")
_REBALANCE: tuple[Point, ...] = ("rebalance.revoked", "rebalance.assigned")
_RESTORE: tuple[Point, ...] = ("restore.fenced", "restore.in", "restore.read")
_SOON = (1, 5)
_UNRULY: tuple[Mood, ...] = ("refuse", "later", "hang", "drop")


class _Draft:
    """A plan while it is made."""

    def __init__(self, seed: int, kind: Kind, broker: Broker) -> None:
        self.rng = random.Random(f"round {seed}" if broker == "kafka" else f"{broker} round {seed}")
        self.of_learners = random.Random(f"learners of round {seed}")
        self.seed, self.kind, self.broker = seed, kind, broker
        self.folds, self.delivers = self.rng.choice((2, 3)), self.rng.choice((1, 2))
        self.learns = self.of_learners.choice((1, 2))
        self.lives: dict[str, list[tuple[Fault, ...]]] = {}
        self.deeds: list[Deed] = []
        self.load_s = LOAD_S if broker == "kafka" else EMBEDDED_LOAD_S

    def fault(self, who: str, action: Action, point: Point, nth: tuple[int, int]) -> None:
        """Let the next life of a process end at a point; one that follows others has less of the round left."""
        first, last = nth if who not in self.lives else (min(nth[0], _SOON[0]), min(nth[1], _SOON[1]))
        self._add(who, action, point, self.rng.randint(first, last))

    def lesson(self, who: str, action: Action, point: Point, nth: tuple[int, int]) -> None:
        """Let the next life of a learner end at a point."""
        self._add(who, action, point, self.of_learners.randint(*nth))

    def _add(self, who: str, action: Action, point: Point, nth: int) -> None:
        if action == "stop" and self.broker == "embedded":
            action = "kill"
        self.lives.setdefault(who, []).append((Fault(action, point, nth),))

    def deed(
        self,
        act: Act,
        whom: str = "",
        between: tuple[float, float] = (2, 10),
        rng: random.Random | None = None,
    ) -> None:
        self.deeds.append(Deed(round((rng or self.rng).uniform(*between), 2), act, whom))

    def slow(self, between: tuple[float, float], for_s: tuple[float, float]) -> None:
        """Stop the broker for a while."""
        at_s, lasts_s = self.rng.uniform(*between), self.rng.uniform(*for_s)
        self.deeds.append(Deed(round(at_s, 2), "slow", "", round(lasts_s, 2)))

    @property
    def turn(self) -> int:
        """Which round of its kind it is: what must not be left out goes by turns and not by chance."""
        return self.seed // len(KINDS)

    def anybody(self) -> str:
        return self.rng.choice([*self._named("fold", self.folds), *self._named("deliver", self.delivers), "door"])

    def somebody_else(self) -> str:
        """Somebody who has no part in the round yet."""
        folds = self._named("fold", self.folds)
        # in a rebalance nobody dies who delivers: then no message may stay unknown
        delivers = [] if self.kind == "rebalance" else self._named("deliver", self.delivers)
        busy = self.lives.keys() | {deed.whom for deed in self.deeds}
        return self.rng.choice([*(one for one in [*folds, *delivers] if one not in busy), "door"])

    def _named(self, role: str, count: int) -> list[str]:
        return [f"{role}-{number}" for number in range(count)]

    def fold(self) -> str:
        return f"fold-{self.rng.randrange(self.folds)}"

    def done(self) -> Plan:
        return Plan(
            seed=self.seed,
            kind=self.kind,
            folds=self.folds,
            delivers=self.delivers,
            faults={who: tuple(lives) for who, lives in self.lives.items()},
            deeds=tuple(sorted(self.deeds)),
            stall_s=round(self.rng.uniform(0.5, 2.5), 2),
            rejoin=self.kind in ("stall", "frozen"),
            load_s=self.load_s,
            learns=self.learns,
            broker=self.broker,
        )


def plan(seed: int, only: Kind | None = None, broker: Broker = "kafka") -> Plan:
    """Plan the round of a seed; so many seeds in a row as there are kinds have every kind."""
    kinds = kinds_on(broker)
    draft = _Draft(seed, only or kinds[(seed - 1) % len(kinds)], broker)
    _BY_KIND[draft.kind](draft)
    # whatever a round is about, something else goes wrong, too
    other = "door" if draft.kind == "frozen" else draft.somebody_else()  # users' events flow on while one is frozen
    draft.deed(draft.rng.choice(("kill", "terminate")), other)
    _learners(draft)
    return draft.done()


def kinds_on(broker: Broker) -> tuple[Kind, ...]:
    """Kinds of rounds that a broker can be put through."""
    return KINDS if broker == "kafka" else EMBEDDED_KINDS


def _learners(draft: _Draft) -> None:
    """In every round: one learner at a named point, in turn, and one at a random moment."""
    rng, turn = draft.of_learners, draft.seed + draft.seed // len(_LESSON)
    point = _LESSON[turn % len(_LESSON)]
    actions: tuple[Action, ...] = ("kill", "kill", "terminate")
    if draft.kind in ("stall", "frozen"):
        actions = ("stop",)
    # Each of two learners has one of the two topics, so it commits and tells half as often.
    nth = (1, 2) if point.startswith("tell") else (2, 4) if draft.learns == 2 else (3, 6)
    draft.lesson("learn-0", rng.choice(actions), point, nth)
    act: Act = "kill" if rng.random() < 0.7 else "terminate"
    draft.deed(act, f"learn-{rng.randrange(draft.learns)}", (5, 9), rng)


def _kill(draft: _Draft) -> None:
    for _ in range(draft.rng.randint(3, 4)):
        draft.deed(draft.rng.choice(("kill", "kill", "terminate")), draft.anybody())


def _commit(draft: _Draft) -> None:
    pool = (*_COMMIT, *_RELAY)  # in turn, so that none is left out
    for further in range(3):
        point = pool[(3 * draft.turn + further) % len(pool)]
        who = f"fold-{(draft.seed + further) % draft.folds}"
        draft.fault(
            who, draft.rng.choice(("kill", "kill", "terminate")), point, (5, 15) if point in _RELAY else (12, 25)
        )
    draft.fault("deliver-0", "kill", _COMMIT[draft.turn % len(_COMMIT)], (3, 15))


def _stall(draft: _Draft) -> None:
    draft.delivers = 2  # so that a stopped one has a successor beside which it wakes
    draft.fault(draft.fold(), "stop", _COMMIT[draft.turn % len(_COMMIT)], (12, 25))
    draft.fault("deliver-0", "stop", _SEND[draft.turn % len(_SEND)], (3, 15))


def _delivery(draft: _Draft) -> None:
    for who in ("deliver-0", "deliver-1")[: draft.delivers]:
        for point in draft.rng.sample(_PROVIDER, 2):
            draft.fault(who, draft.rng.choice(("kill", "kill", "terminate")), point, (3, 20))
    draft.fault("deliver-0", "kill", draft.rng.choice(_COMMIT), (3, 15))


def _rebalance(draft: _Draft) -> None:
    # Who only just came in is asked to settle, too, so that every rebalance has somebody who does not come out of it.
    draft.deed("join", "fold", between=(2, 3))
    draft.deed("join", "fold", between=(5, 7))
    draft.deed("leave", draft.fold(), between=(7, 10))
    draft.fault("fold-0", "kill", draft.rng.choice(_REBALANCE), (2, 3))
    draft.fault("fold-1", draft.rng.choice(("kill", "stop", "terminate")), draft.rng.choice(_REBALANCE), (3, 4))
    # Those who deliver come and go in the middle of their calls, and none of them dies.
    draft.deed("join", "deliver", between=(2, 4))
    draft.deed("leave", "deliver-0", between=(5, 7))
    draft.deed("join", "deliver", between=(7, 9))


def _restore(draft: _Draft) -> None:
    # A life that follows another one of its process gets its share back, and does not come out of restoring it.
    victim, other = draft.rng.sample([f"fold-{number}" for number in range(draft.folds)], 2)
    for who, act, between, further in ((victim, "kill", (3, 5), 0), (other, "terminate", (6, 8), 1)):
        draft.deed("kill" if act == "kill" else "terminate", who, between=between)
        draft.lives[who] = [()]
        point = _RESTORE[(2 * draft.turn + further) % len(_RESTORE)]
        draft.fault(who, draft.rng.choice(("kill", "stop")) if further else "kill", point, (1, 2))


def _frozen(draft: _Draft) -> None:
    if draft.turn % 2:
        draft.fault(draft.fold(), "stop", ("relay.sent", "relay.before")[draft.turn // 2 % 2], (5, 15))
    else:
        draft.fault("deliver-0", "stop", ("commit.sent", "commit.sending")[draft.turn // 2 % 2], (5, 15))


def _broker(draft: _Draft) -> None:
    # It is killed, or stopped for so long that sessions end meanwhile; and then the other one.
    if draft.turn % 2:
        draft.slow((3, 4), (8, 12))
        away = draft.deeds[-1].at_s
        if draft.rng.random() < 0.5:
            draft.deed("broker", between=(16, 17))
    else:
        draft.deed("broker", between=(3, 5))
        away = draft.deeds[-1].at_s
        draft.slow((12, 14), (5, 8))
    draft.load_s = SLOW_LOAD_S
    # Who is asked to end while the broker is away, in the middle of a commit that gets no answer, ends all the same.
    draft.deed("terminate", f"fold-{draft.seed % draft.folds}", (away + 0.05, away + 2), draft.of_learners)


def _provider(draft: _Draft) -> None:
    first, second = draft.rng.sample(_UNRULY, 2)
    draft.deeds += [Deed(2, "mood", first), Deed(5, "mood", "take"), Deed(6, "mood", second), Deed(9, "mood", "take")]
    if draft.rng.random() < 0.5:
        draft.fault("deliver-0", "kill", "provider.in", (3, 20))


def _disk(draft: _Draft) -> None:
    draft.deed("disk", between=(3, 4))
    draft.load_s = DISK_S + 8


_BY_KIND: dict[Kind, Callable[[_Draft], None]] = {
    "kill": _kill,
    "commit": _commit,
    "stall": _stall,
    "delivery": _delivery,
    "rebalance": _rebalance,
    "restore": _restore,
    "frozen": _frozen,
    "broker": _broker,
    "provider": _provider,
    "disk": _disk,
}
