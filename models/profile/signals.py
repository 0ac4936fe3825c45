"""Signals: what changed about a user that somebody may want to react to."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SignalKind = Literal["segment_entered", "segment_left", "churn_risk", "first_purchase", "cart_left", "event"]


class Signal(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Something about a user changed.

    Attributes
    ----------
    kind
        ``segment_entered`` and ``segment_left`` (``name``: the segment), ``churn_risk`` (``previous`` and ``value``:
        the probability before and now), ``first_purchase`` (``value``: units paid), ``cart_left`` (``name``: the rule
        whose time has passed; ``items``), ``event`` (``name``: a custom event's name or an event's type, and its
        ``properties``).
    user, at
        Whom, and when its cause happened, milliseconds: the event's own time, the timer's due time. A rule's
        ``expires_after`` counts from there.
    cause
        Id of the event, or ``timer:`` and the timer's name.
    version
        Of the model that decided, 0 where none did.
    items
        Item ids concerned.
    reasons
        For people: which features pushed a score, strongest first.
    properties
        Of the event, for rules with ``where`` and for templates.
    public
        Whether its cause came with a public key: then no transactional message follows from it.
    confirms
        Whether its cause says with a secret key what a public key has said before: then nothing else follows from it.
    """

    kind: SignalKind
    user: str
    at: int
    cause: str
    name: str = ""
    value: float = 0.0
    previous: float = 0.0
    version: int = 0
    items: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    properties: dict[str, Any] | None = None
    public: bool = False
    confirms: bool = False
