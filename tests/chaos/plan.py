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
Act = Literal["kill", "terminate", "join", "leave", "broker", "disk", "mood"]

LOAD_S = 13.0
"""So long events come in; a full disk takes longer than that, and they go on until it is over."""
DISK_S = 30.0
EMBEDDED_LOAD_S = 10.0


class Deed(NamedTuple):
    """Something that is done to the house from outside.

    Attributes
    ----------
    at_s
        Seconds after the first event.
    act
        What: ``kill``, ``terminate`` and ``leave`` (SIGTERM, and nobody in its place) a process, let another fold
        ``join``, ``kill -9`` the ``broker`` and start it again, fill its ``disk``, change the provider's ``mood``.
    whom
        Name of a process (``fold-0``), or a mood.
    """

    at_s: float
    act: Act
    whom: str = ""


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
        Whether another fold joins as soon as a stopped process is awake again: a second rebalance beside a zombie.
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
        deeds = [f"{deed.act} {deed.whom} at {deed.at_s:.1f} s".replace("  ", " ") for deed in self.deeds]
        there = f"{self.folds} folds, {self.delivers} delivers, {self.learns} learns"
        return f"{self.kind} (seed {self.seed}), {there}; {'; '.join(faults + deeds)}"


_COMMIT: tuple[Point, ...] = ("commit.before", "commit.sending", "commit.sent", "commit.ending", "commit.after")
_LESSON: tuple[Point, ...] = (*_COMMIT, "tell.before", "tell.after")
_RELAY: tuple[Point, ...] = ("relay.before", "relay.sent", "relay.after")
_PROVIDER: tuple[Point, ...] = ("provider.before", "provider.in", "provider.after")
_REBALANCE: tuple[Point, ...] = ("rebalance.revoked", "rebalance.assigned")
_RESTORE: tuple[Point, ...] = ("restore.fenced", "restore.in", "restore.read")
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
        """Let the next life of a process end at a point."""
        number = self.rng.randint(*nth)
        self._add(who, action, point, number)

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

    def anybody(self) -> str:
        folds = [f"fold-{number}" for number in range(self.folds)]
        return self.rng.choice([*folds, *(f"deliver-{number}" for number in range(self.delivers)), "door"])

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
    other = "door" if draft.kind == "frozen" else draft.anybody()  # users' events must flow on while somebody is frozen
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
    nth = (1, 2) if point.startswith("tell") else (4, 8) if draft.learns == 2 else (8, 16)
    draft.lesson("learn-0", rng.choice(actions), point, nth)
    act: Act = "kill" if rng.random() < 0.7 else "terminate"
    draft.deed(act, f"learn-{rng.randrange(draft.learns)}", (5, 9), rng)


def _kill(draft: _Draft) -> None:
    for _ in range(draft.rng.randint(3, 4)):
        draft.deed(draft.rng.choice(("kill", "kill", "terminate")), draft.anybody())


def _commit(draft: _Draft) -> None:
    pool, turn = (*_COMMIT, *_RELAY), 3 * (draft.seed // len(KINDS))  # in turn, so that none is left out
    for point in (pool[(turn + further) % len(pool)] for further in range(3)):
        draft.fault(draft.fold(), draft.rng.choice(("kill", "kill", "terminate")), point, (10, 80))
    draft.fault("deliver-0", "kill", draft.rng.choice(_COMMIT), (5, 30))


def _stall(draft: _Draft) -> None:
    draft.fault(draft.fold(), "stop", draft.rng.choice((*_COMMIT, "commit.before")), (20, 80))
    if draft.rng.random() < 0.5:
        draft.fault("deliver-0", "stop", draft.rng.choice((*_PROVIDER, "commit.before")), (5, 40))


def _delivery(draft: _Draft) -> None:
    for who in ("deliver-0", "deliver-1")[: draft.delivers]:
        for point in draft.rng.sample(_PROVIDER, 2):
            draft.fault(who, draft.rng.choice(("kill", "kill", "terminate")), point, (3, 40))
    draft.fault("deliver-0", "kill", draft.rng.choice(_COMMIT), (5, 40))


def _rebalance(draft: _Draft) -> None:
    # Who only just came in is asked to settle, too, so that every rebalance has somebody who does not come out of it.
    draft.deed("join", between=(2, 3))
    draft.deed("join", between=(5, 7))
    draft.deed("leave", draft.fold(), between=(7, 10))
    draft.fault("fold-0", "kill", draft.rng.choice(_REBALANCE), (2, 3))
    draft.fault("fold-1", draft.rng.choice(("kill", "stop", "terminate")), draft.rng.choice(_REBALANCE), (3, 5))


def _restore(draft: _Draft) -> None:
    victim = draft.fold()
    draft.deed("kill", victim, between=(3, 5))
    other = next(name for name in (f"fold-{n}" for n in range(draft.folds)) if name != victim)
    # The first life of the other one has restored its share by then: further ones come with what the victim leaves.
    draft.fault(other, draft.rng.choice(("kill", "stop")), draft.rng.choice(_RESTORE), (9, 11))
    draft.lives.setdefault(victim, []).append(())
    draft.fault(victim, "kill", draft.rng.choice(_RESTORE), (1, 3))


def _frozen(draft: _Draft) -> None:
    if draft.rng.random() < 0.7:
        draft.fault("deliver-0", "stop", draft.rng.choice(("commit.sent", "commit.sending")), (10, 40))
    else:
        draft.fault(draft.fold(), "stop", draft.rng.choice(("relay.sent", "relay.before")), (10, 60))


def _broker(draft: _Draft) -> None:
    draft.deed("broker", between=(3, 5))
    # Who is asked to end while the broker is away, in the middle of a commit that gets no answer, ends all the same.
    away = draft.deeds[-1].at_s
    draft.deed("terminate", f"fold-{draft.seed % draft.folds}", (away + 0.05, away + 2), draft.of_learners)
    if draft.rng.random() < 0.5:
        draft.deed("broker", between=(9, 12))


def _provider(draft: _Draft) -> None:
    first, second = draft.rng.sample(_UNRULY, 2)
    draft.deeds += [Deed(2, "mood", first), Deed(5, "mood", "take"), Deed(6, "mood", second), Deed(9, "mood", "take")]
    if draft.rng.random() < 0.5:
        draft.fault("deliver-0", "kill", "provider.in", (10, 60))


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
