"""From a seed to what happens in a round: who dies where, who is stalled, what the provider does, and when.

Nothing but the seed decides, so a round that failed can be played again. (What the machine is doing at that moment is
its own: a random moment is the same second, and not the same instruction. The named points are.)
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
Act = Literal["kill", "terminate", "join", "leave", "broker", "disk", "mood"]

LOAD_S = 13.0
"""So long events come in; a full disk takes longer than that, and they go on until it is over."""
DISK_S = 30.0


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
    folds, delivers
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

    def __str__(self) -> str:
        """In words, for the log of a round."""
        faults = [
            f"{who}: {' then '.join(' '.join(map(str, life)) for life in lives)}" for who, lives in self.faults.items()
        ]
        deeds = [f"{deed.act} {deed.whom} at {deed.at_s:.1f} s".replace("  ", " ") for deed in self.deeds]
        return f"{self.kind} (seed {self.seed}), {self.folds} folds, {self.delivers} delivers; " + "; ".join(
            faults + deeds
        )


_COMMIT: tuple[Point, ...] = ("commit.before", "commit.sending", "commit.sent", "commit.ending", "commit.after")
_RELAY: tuple[Point, ...] = ("relay.before", "relay.sent", "relay.after")
_PROVIDER: tuple[Point, ...] = ("provider.before", "provider.in", "provider.after")
_REBALANCE: tuple[Point, ...] = ("rebalance.revoked", "rebalance.assigned")
_RESTORE: tuple[Point, ...] = ("restore.fenced", "restore.in", "restore.read")
_UNRULY: tuple[Mood, ...] = ("refuse", "later", "hang", "drop")


class _Draft:
    """A plan while it is made."""

    def __init__(self, seed: int, kind: Kind) -> None:
        self.rng = random.Random(f"round {seed}")
        self.seed, self.kind = seed, kind
        self.folds, self.delivers = self.rng.choice((2, 3)), self.rng.choice((1, 2))
        self.lives: dict[str, list[tuple[Fault, ...]]] = {}
        self.deeds: list[Deed] = []
        self.load_s = LOAD_S

    def fault(self, who: str, action: Action, point: Point, nth: tuple[int, int]) -> None:
        """Let the next life of a process end at a point."""
        self.lives.setdefault(who, []).append((Fault(action, point, self.rng.randint(*nth)),))

    def deed(self, act: Act, whom: str = "", between: tuple[float, float] = (2, 10)) -> None:
        self.deeds.append(Deed(round(self.rng.uniform(*between), 2), act, whom))

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
        )


def plan(seed: int, only: Kind | None = None) -> Plan:
    """Plan the round of a seed; ten seeds in a row have every kind."""
    draft = _Draft(seed, only or KINDS[(seed - 1) % len(KINDS)])
    _BY_KIND[draft.kind](draft)
    # whatever a round is about, something else goes wrong, too
    other = "door" if draft.kind == "frozen" else draft.anybody()  # users' events must flow on while somebody is frozen
    draft.deed(draft.rng.choice(("kill", "terminate")), other)
    return draft.done()


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
