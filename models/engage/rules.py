"""The rules that a signal triggers, and the values that the fold has to watch for them."""

from __future__ import annotations

from typing import Any

from models.configuration.compiled import Configuration, Rule
from models.configuration.journeys.definition import SignalTrigger
from models.events import Event
from models.profile.signals import Signal, SignalKind


def matching(configuration: Configuration, signal: Signal) -> tuple[Rule, ...]:
    """Return the rules that a signal triggers, in the order of the configuration.

    Examples
    --------
    >>> from models.configuration.compiled import Trigger
    >>> rule = Rule(name="win_back", category="marketing", when=Trigger(kind="churn_risk", threshold=0.7),
    ...             channels=("email",), template="win_back")
    >>> risen = Signal(kind="churn_risk", user="u1", at=1, cause="m1", previous=0.6, value=0.75)
    >>> [rule.name for rule in matching(Configuration(rules=(rule,)), risen)]
    ['win_back']
    """
    if signal.kind == "consent_pending":
        return () if configuration.confirm_rule is None else (configuration.confirm_rule,)
    waiting = configuration.by_trigger.get((_TRIGGERS.get(signal.kind, ""), signal.name))
    return tuple(rule for rule in waiting if _agrees(rule, signal)) if waiting else ()


def cart_timers(configuration: Configuration) -> tuple[tuple[str, int], ...]:
    """Return ``(name, delay in milliseconds)`` of each timer to set when a cart changes, of rules and of journeys."""
    carts = [(rule.name, rule.when.delay) for rule in configuration.rules if rule.when.kind == "cart_left"]
    signals = ((one.name, one.enter.on) for one in configuration.journeys)
    carts += [(name, on.after) for name, on in signals if isinstance(on, SignalTrigger) and on.signal == "cart_left"]
    return tuple(carts)


def churn_thresholds(configuration: Configuration) -> tuple[float, ...]:
    """Return the churn probabilities whose crossing triggers a rule or a journey, ascending."""
    found = {rule.when.threshold for rule in configuration.rules if rule.when.kind == "churn_risk"}
    entries = (journey.enter.on for journey in configuration.journeys)
    found |= {on.crosses for on in entries if isinstance(on, SignalTrigger) and on.signal == "churn_risk"}
    return tuple(sorted(found))


def event_names(configuration: Configuration) -> frozenset[str]:
    """Return the names and types of events that some rule waits for; other events need no signal."""
    return frozenset(name for kind, name in configuration.by_trigger if kind == "event")


_TRIGGERS: dict[SignalKind, str] = {
    "churn_risk": "churn_risk",
    "segment_entered": "entered_segment",
    "lifecycle_moved": "entered_stage",
    "first_purchase": "first_purchase",
    "cart_left": "cart_left",
    "event": "event",
}
"""The kind of trigger that waits for each kind of signal; no trigger waits for the other kinds."""


def rules_met(configuration: Configuration, name: str, event: Event) -> tuple[str, ...]:
    """Return the names of the rules that wait for events of a name, and whose comparisons of properties this one meets.

    Rules without such comparisons are not among them.
    """
    tests = configuration.event_tests.get(name)
    return tuple(rule for rule, test in tests if test(event)) if tests else ()


def _agrees(rule: Rule, signal: Signal) -> bool:
    when = rule.when
    if when.kind == "churn_risk":
        return signal.previous < when.threshold <= signal.value
    if when.conditions and rule.name not in signal.met:
        return False
    found = signal.properties or {}
    return all(any(_same(found.get(name), value) for value in values) for name, values in when.where.items())


def _same(found: Any, allowed: Any) -> bool:
    # In Python, `True == 1`. Here a flag is not a number.
    return isinstance(found, bool) == isinstance(allowed, bool) and bool(found == allowed)
