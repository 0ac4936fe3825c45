"""The lifecycles that a configuration can begin with, as they would be written in ``perennial.yaml``.

The moves follow four rules, so that no user goes back and forth:

- Only silence leads down, and only an event leads up again. A customer who is silent for 1 gap is at risk, and comes
  back by a purchase of the last half gap.
- A count has a lower bound for leaving than for entering.
- The silence of a user who has never bought counts from the registration. Otherwise a visitor of long standing who
  registers today would be dormant at once.
- A visitor who does nothing else stays a visitor. Most visitors come once, and a move of each would be a signal of
  each.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

DefaultName: TypeAlias = Literal["purchases", "usage", "none"]


class DefaultMove(NamedTuple):
    """The moves from several stages into one, on one condition as it is written."""

    origins: tuple[str, ...]
    target: str
    when: dict[str, Any]


def _count(event: str, within: str, **times: int) -> dict[str, Any]:
    return {"event": event, "times": times, "within": within}


def _silent(length: str, *events: str) -> dict[str, Any]:
    absences = [{"absent": event, "for": length} for event in events]
    return {"all": absences} if len(absences) > 1 else absences[0]


_IDENTIFIED = _count("identify", "ever", at_least=1)
_KEPT = ("activated", "engaged", "loyal", "won_back")
_LOST = ("dormant", "churned")

_BOUGHT_AGAIN = _count("purchase", "ever", at_least=2)
_BOUGHT_LATELY = {"not": _silent("0.5 p90 gaps", "purchase")}
_BOUGHT_OFTEN = _count("purchase", "4 p90 gaps", at_least=4)

_PURCHASES = (
    DefaultMove(("visitor", "new"), "activated", _count("purchase", "ever", at_least=1)),
    DefaultMove(("visitor",), "new", _IDENTIFIED),
    DefaultMove(("new",), "dormant", _silent("2 p90 gaps", "purchase", "identify")),
    DefaultMove(_KEPT, "at_risk", _silent("1 p90 gap", "purchase")),
    DefaultMove(("activated",), "engaged", _BOUGHT_AGAIN),
    DefaultMove(("engaged",), "loyal", _BOUGHT_OFTEN),
    DefaultMove(("loyal",), "engaged", _count("purchase", "4 p90 gaps", less_than=3)),
    DefaultMove(("at_risk",), "loyal", {"all": [_BOUGHT_LATELY, _BOUGHT_OFTEN]}),
    DefaultMove(("at_risk",), "engaged", _BOUGHT_LATELY),
    DefaultMove(("at_risk",), "dormant", _silent("2 p90 gaps", "purchase")),
    DefaultMove(_LOST, "activated", {"all": [_BOUGHT_LATELY, {"not": _BOUGHT_AGAIN}]}),
    DefaultMove(_LOST, "won_back", _BOUGHT_LATELY),
    DefaultMove(("dormant",), "churned", _silent("4 p90 gaps", "purchase", "identify")),
    DefaultMove(("won_back",), "engaged", _count("purchase", "1 p90 gap", at_least=2)),
)

_USED_LATELY = _count("custom", "3d", at_least=1)
_USED_OFTEN = _count("custom", "14d", at_least=10)
_PAYS = {"all": [_count("purchase", "ever", at_least=3), {"not": _silent("1 p90 gap", "purchase")}]}

_USAGE = (
    DefaultMove(("visitor", "new"), "activated", _count("custom", "7d", at_least=3)),
    DefaultMove(("visitor",), "new", {"any": [_IDENTIFIED, _count("custom", "ever", at_least=1)]}),
    DefaultMove(("new",), "dormant", _silent("21d", "custom", "identify")),
    DefaultMove(_KEPT, "at_risk", _silent("10d", "custom")),
    DefaultMove(("activated",), "engaged", _USED_OFTEN),
    DefaultMove(("engaged",), "loyal", {"all": [_USED_OFTEN, _PAYS]}),
    DefaultMove(("loyal",), "engaged", _silent("2 p90 gaps", "purchase")),
    DefaultMove(("engaged",), "activated", _count("custom", "14d", less_than=5)),
    DefaultMove(("at_risk",), "activated", _USED_LATELY),
    DefaultMove(("at_risk",), "dormant", _silent("21d", "custom")),
    DefaultMove(_LOST, "new", {"all": [_USED_LATELY, _count("custom", "ever", less_than=3)]}),
    DefaultMove(_LOST, "won_back", _USED_LATELY),
    DefaultMove(("dormant",), "churned", _silent("42d", "custom", "identify")),
    DefaultMove(("won_back",), "engaged", _USED_OFTEN),
)

DEFAULTS: dict[DefaultName, tuple[DefaultMove, ...]] = {"purchases": _PURCHASES, "usage": _USAGE, "none": ()}
"""Default moves by the name in ``lifecycle.defaults``.

``purchases`` is the lifecycle of customers of a shop, in units of the population's gaps between purchases. ``usage`` is
that of users of a product, which sends events with names of its own (type ``custom``); it comes with the preset saas.
"""
