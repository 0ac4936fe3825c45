"""Signals: changes of a user that rules may react to."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SignalKind = Literal[
    "segment_entered",
    "segment_left",
    "churn_risk",
    "first_purchase",
    "cart_left",
    "event",
    "lifecycle_moved",
    "journey_step",
    "journey_entered",
    "journey_refused",
    "journey_converted",
    "journey_ended",
    "campaign",
    "campaign_converted",
    "consent_pending",
]


class Signal(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A change of a user.

    Attributes
    ----------
    kind
        The kind of change:

        - ``segment_entered`` and ``segment_left``: ``name`` is the segment.
        - ``churn_risk``: ``previous`` and ``value`` are the probability before and now.
        - ``first_purchase``: ``value`` is the amount in units of the currency.
        - ``cart_left``: ``name`` is the rule whose waiting time has passed, and ``items`` is the content of the cart.
        - ``event``: ``name`` is the name of a custom event or the type of another one, with its ``properties``.
        - ``lifecycle_moved``: ``name`` is the stage that the user has entered, and ``origin`` the one before.
        - ``journey_step``: ``name`` is a ``send`` step as ``journey/step``, and ``properties`` are what its run has
          kept of the entry. It is only a part of decisions.
        - ``consent_pending``: the owner of the address has to confirm a consent. ``properties`` has its ``purpose``,
          ``channel`` and the version of its ``text``.
        - ``journey_entered``, ``journey_refused``, ``journey_converted``, ``journey_ended``: ``name`` is the journey,
          ``origin`` the outcome or the reason, and ``value`` that of a conversion.
        - ``campaign``: ``name`` is a campaign, and ``at`` the user's turn. It is only a part of decisions.
        - ``campaign_converted``: ``name`` is the campaign, and ``value`` that of the conversion.
    run
        For journeys: id of the run. For campaigns: id of the start.
    held_out
        For journeys and campaigns: whether the run or the user belongs to the control group.
    user, at
        The user, and the time of the cause in milliseconds: the time of the event, or the due time of the timer. A
        rule's ``expires_after`` counts from this time.
    cause
        Id of the event, or ``timer:`` and the timer's name.
    version
        Version of the model that decided, 0 if none did.
    items
        Ids of the items concerned.
    reasons
        Texts for people about the features that raise the churn risk most, strongest first.
    properties
        Properties of the event, for rules with ``where`` and for templates.
    met
        For ``event``: names of the rules whose comparisons of properties the event meets.
    public
        Whether the cause came with a browser key. Then it triggers no transactional message.
    confirms
        Whether the cause repeats, with a server key, an order that was stated before with a browser key. Marketing
        rules have already reacted to the earlier event, so this signal triggers no marketing message.
    clauses
        For a segment by rule and a stage: the clauses that have changed in the step, in their canonical form.
    origin
        For ``lifecycle_moved``: the stage that the user has left.
    covered_from
        For a segment by rule and a stage: time after which all of its clauses have seen every event, milliseconds; 0
        if they have seen all.
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
    met: tuple[str, ...] = ()
    public: bool = False
    confirms: bool = False
    clauses: tuple[str, ...] = ()
    covered_from: int = 0
    origin: str = ""
    run: str = ""
    held_out: bool = False


decode_signal = msgspec.json.Decoder(Signal).decode
"""Read a signal from JSON, or raise ``msgspec.DecodeError``."""
