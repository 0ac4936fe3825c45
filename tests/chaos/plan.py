"""The plan of a round, drawn from a seed: the deaths and stalls of processes, the faults of the provider, and their
times.

Only the seed decides the plan, so a round that failed can be played again. But the machine's timing differs each time:
a fault at a random moment comes in the same second, but not at the same instruction. A named point is always the same.

The faults of learners come from a second random generator. So they do not change the faults that a seed gives to folds
and deliveries. On the embedded broker no process is stalled, because that broker cannot fence a previous owner.
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
"""Kinds of rounds for the embedded broker: it has neither transactions nor a disk, and loses everything when it ends.
"""
Act = Literal["kill", "terminate", "join", "leave", "broker", "slow", "disk", "mood"]

LOAD_S = 13.0
"""How long events come in, seconds. While a disk is full, events come in for longer: until it has space again."""
DISK_S = 30.0
SLOW_LOAD_S = 20.0
"""How long events come in when the broker is away twice, seconds."""
EMBEDDED_LOAD_S = 10.0


class Deed(NamedTuple):
    """An action against the installation from outside.

    Attributes
    ----------
    at_s
        Seconds after the first event.
    act
        Kind of the action. On a process: ``kill``, ``terminate``, ``leave`` (SIGTERM without a restart), and ``join``
        (start another one). On the broker: ``broker`` (``kill -9`` and a restart), ``slow`` (stop it for a while),
        ``disk`` (fill its disk). On the provider: ``mood`` (change its behaviour).
    target
        Name of a process such as ``fold-0``; the role, for ``join``; or a mood.
    for_s
        Duration in seconds, if the action has one.
    """

    at_s: float
    act: Act
    target: str = ""
    for_s: float = 0.0

    def __str__(self) -> str:
        """Format the deed for logs; results store this text, so it must not change."""
        lasts = f" for {self.for_s:.1f} s" if self.for_s else ""
        return f"{self.act} {self.target} at {self.at_s:.1f} s{lasts}".replace("  ", " ")


@dataclass(frozen=True)
class Plan:
    """The plan of one round.

    Attributes
    ----------
    seed, kind
        Seed and kind of the round.
    folds, delivers, learns
        Number of processes of each role at the start; one HTTP door runs too.
    faults
        Faults by process: one tuple of faults for each of its lives, beginning with the first life.
    deeds
        Actions from outside, ordered by time.
    stall_s
        How long a stopped process stays stopped in addition to the length of its session, seconds.
    rejoin
        Whether another process of the same role joins when a stopped one wakes up, so that the group rebalances again.
    load_s
        How long events come in, seconds.
    broker
        Broker of the round.
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
        """Format the plan for logs; results store this text to recognize a plan, so it must not change."""
        faults = [
            f"{process}: {' then '.join(' '.join(map(str, life)) for life in lives)}"
            for process, lives in self.faults.items()
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
    """A plan under construction."""

    def __init__(self, seed: int, kind: Kind, broker: Broker) -> None:
        self.rng = random.Random(f"round {seed}" if broker == "kafka" else f"{broker} round {seed}")
        self.of_learners = random.Random(f"learners of round {seed}")
        self.seed, self.kind, self.broker = seed, kind, broker
        self.folds, self.delivers = self.rng.choice((2, 3)), self.rng.choice((1, 2))
        self.learns = self.of_learners.choice((1, 2))
        self.lives: dict[str, list[tuple[Fault, ...]]] = {}
        self.deeds: list[Deed] = []
        self.load_s = LOAD_S if broker == "kafka" else EMBEDDED_LOAD_S

    def fault(self, process: str, action: Action, point: Point, nth: tuple[int, int]) -> None:
        """Add a fault for the next life of a process. In a later life, the fault comes early: the round ends soon."""
        first, last = nth if process not in self.lives else (min(nth[0], _SOON[0]), min(nth[1], _SOON[1]))
        self._add(process, action, point, self.rng.randint(first, last))

    def lesson(self, process: str, action: Action, point: Point, nth: tuple[int, int]) -> None:
        """Add a fault for the next life of a learner."""
        self._add(process, action, point, self.of_learners.randint(*nth))

    def _add(self, process: str, action: Action, point: Point, nth: int) -> None:
        if action == "stop" and self.broker == "embedded":
            action = "kill"
        self.lives.setdefault(process, []).append((Fault(action, point, nth),))

    def deed(
        self,
        act: Act,
        target: str = "",
        between: tuple[float, float] = (2, 10),
        rng: random.Random | None = None,
    ) -> None:
        self.deeds.append(Deed(round((rng or self.rng).uniform(*between), 2), act, target))

    def slow(self, between: tuple[float, float], for_s: tuple[float, float]) -> None:
        """Stop the broker for a while."""
        at_s, lasts_s = self.rng.uniform(*between), self.rng.uniform(*for_s)
        self.deeds.append(Deed(round(at_s, 2), "slow", "", round(lasts_s, 2)))

    @property
    def turn(self) -> int:
        """Number of this round among the rounds of its kind.

        Where a series of rounds must contain every choice, this number selects the choice, and not chance.
        """
        return self.seed // len(KINDS)

    def any_process(self) -> str:
        return self.rng.choice([*self._named("fold", self.folds), *self._named("deliver", self.delivers), "door"])

    def uninvolved(self) -> str:
        """Choose a process that has no part in the round yet."""
        folds = self._named("fold", self.folds)
        # No delivery process dies in a rebalance round, because no message may stay unknown in such a round.
        delivers = [] if self.kind == "rebalance" else self._named("deliver", self.delivers)
        busy = self.lives.keys() | {deed.target for deed in self.deeds}
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
            faults={process: tuple(lives) for process, lives in self.lives.items()},
            deeds=tuple(sorted(self.deeds)),
            stall_s=round(self.rng.uniform(0.5, 2.5), 2),
            rejoin=self.kind in ("stall", "frozen"),
            load_s=self.load_s,
            learns=self.learns,
            broker=self.broker,
        )


def plan(seed: int, only: Kind | None = None, broker: Broker = "kafka") -> Plan:
    """Plan the round of a seed; successive seeds go through every kind."""
    kinds = kinds_on(broker)
    draft = _Draft(seed, only or kinds[(seed - 1) % len(kinds)], broker)
    _BY_KIND[draft.kind](draft)
    # Every round has an additional fault. In a frozen round it is a fault of the door, because the other processes must
    # continue to fold events while one is frozen.
    other = "door" if draft.kind == "frozen" else draft.uninvolved()
    draft.deed(draft.rng.choice(("kill", "terminate")), other)
    _learners(draft)
    return draft.done()


def kinds_on(broker: Broker) -> tuple[Kind, ...]:
    """Return the kinds of rounds that can be played on a broker."""
    return KINDS if broker == "kafka" else EMBEDDED_KINDS


def _learners(draft: _Draft) -> None:
    """Add faults of learners: one at a named point, which successive rounds choose in turn, one at a random moment."""
    rng, turn = draft.of_learners, draft.seed + draft.seed // len(_LESSON)
    point = _LESSON[turn % len(_LESSON)]
    actions: tuple[Action, ...] = ("kill", "kill", "terminate")
    if draft.kind in ("stall", "frozen"):
        actions = ("stop",)
    # If there are two learners, each reads only one of the two topics, so it commits and broadcasts half as often.
    nth = (1, 2) if point.startswith("tell") else (2, 4) if draft.learns == 2 else (3, 6)
    draft.lesson("learn-0", rng.choice(actions), point, nth)
    act: Act = "kill" if rng.random() < 0.7 else "terminate"
    draft.deed(act, f"learn-{rng.randrange(draft.learns)}", (5, 9), rng)


def _kill(draft: _Draft) -> None:
    for _ in range(draft.rng.randint(3, 4)):
        draft.deed(draft.rng.choice(("kill", "kill", "terminate")), draft.any_process())


def _commit(draft: _Draft) -> None:
    pool = (*_COMMIT, *_RELAY)  # successive rounds take successive points, so that none is left out
    for further in range(3):
        point = pool[(3 * draft.turn + further) % len(pool)]
        process = f"fold-{(draft.seed + further) % draft.folds}"
        draft.fault(
            process, draft.rng.choice(("kill", "kill", "terminate")), point, (5, 15) if point in _RELAY else (12, 25)
        )
    draft.fault("deliver-0", "kill", _COMMIT[draft.turn % len(_COMMIT)], (3, 15))


def _stall(draft: _Draft) -> None:
    draft.delivers = 2  # so that another process has the partitions when a stopped process continues
    draft.fault(draft.fold(), "stop", _COMMIT[draft.turn % len(_COMMIT)], (12, 25))
    draft.fault("deliver-0", "stop", _SEND[draft.turn % len(_SEND)], (3, 15))


def _delivery(draft: _Draft) -> None:
    for process in ("deliver-0", "deliver-1")[: draft.delivers]:
        for point in draft.rng.sample(_PROVIDER, 2):
            draft.fault(process, draft.rng.choice(("kill", "kill", "terminate")), point, (3, 20))
    draft.fault("deliver-0", "kill", draft.rng.choice(_COMMIT), (3, 15))


def _rebalance(draft: _Draft) -> None:
    # Folds join and leave, and two folds die or stop in the middle of the resulting rebalances.
    draft.deed("join", "fold", between=(2, 3))
    draft.deed("join", "fold", between=(5, 7))
    draft.deed("leave", draft.fold(), between=(7, 10))
    draft.fault("fold-0", "kill", draft.rng.choice(_REBALANCE), (2, 3))
    draft.fault("fold-1", draft.rng.choice(("kill", "stop", "terminate")), draft.rng.choice(_REBALANCE), (3, 4))
    # Delivery processes come and go in the middle of their calls, and none of them dies.
    draft.deed("join", "deliver", between=(2, 4))
    draft.deed("leave", "deliver-0", between=(5, 7))
    draft.deed("join", "deliver", between=(7, 9))


def _restore(draft: _Draft) -> None:
    # The second life of a process gets the same partitions back, and dies or stops while it restores them.
    victim, other = draft.rng.sample([f"fold-{number}" for number in range(draft.folds)], 2)
    for process, act, between, further in ((victim, "kill", (3, 5), 0), (other, "terminate", (6, 8), 1)):
        draft.deed("kill" if act == "kill" else "terminate", process, between=between)
        draft.lives[process] = [()]
        point = _RESTORE[(2 * draft.turn + further) % len(_RESTORE)]
        draft.fault(process, draft.rng.choice(("kill", "stop")) if further else "kill", point, (1, 2))


def _frozen(draft: _Draft) -> None:
    if draft.turn % 2:
        draft.fault(draft.fold(), "stop", ("relay.sent", "relay.before")[draft.turn // 2 % 2], (5, 15))
    else:
        draft.fault("deliver-0", "stop", ("commit.sent", "commit.sending")[draft.turn // 2 % 2], (5, 15))


def _broker(draft: _Draft) -> None:
    # The broker is killed, or stopped until sessions end. Then the other of these two faults may follow.
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
    # A process that is asked to end while the broker is away, in the middle of an unanswered commit, must still end.
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
