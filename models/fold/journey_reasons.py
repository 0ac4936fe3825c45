"""Why a user is not in a journey, or gets no message of it: each rule that decides, with what it finds now."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any, NamedTuple, get_args

from models.conditions.truth import Truth, all_of
from models.configuration.compiled import send_rule
from models.configuration.journeys.definition import (
    EventTrigger,
    Journey,
    ScheduleTrigger,
    SegmentTrigger,
    SendStep,
    SignalTrigger,
    StageTrigger,
)
from models.configuration.journeys.versions import places_of
from models.counting import counted
from models.durations import written
from models.engage.decisions import Decision
from models.engage.journeys.entering import entered_number, may_enter
from models.engage.journeys.splitting import is_held_out
from models.engage.recipient import Recipient
from models.engage.why import REASONS
from models.errors import PerennialError
from models.events import EventType
from models.fold.membership_view import ConditionReasons, names_of
from models.fold.message_view import describe_messages
from models.fold.moments import moment
from models.fold.run_view import describe_runs
from models.fold.versions import Versions
from models.profile.ledger import Ledger
from models.profile.runs import MAX_RUNS, UserRuns
from models.profile.signals import Signal
from models.profile.snapshot import Seen
from models.profile.state import Customer
from models.spelling import did_you_mean


class JourneyNotKnown(PerennialError):
    """A name that no journey in use has: name one of those that exist.

    Parameters
    ----------
    name
        The name that was asked for.
    names
        The names that exist.
    """

    def __init__(self, name: str, names: Iterable[str]) -> None:
        known = list(names)
        journeys = f"the journeys are: {', '.join(known)}" if known else "the configuration in use has no journeys"
        super().__init__(f"there is no journey {name!r}{did_you_mean(name, known)}; {journeys}")


class Check(NamedTuple):
    """A rule that decides whether a user enters a journey.

    Attributes
    ----------
    name
        Its name.
    passes
        Whether it lets the user enter now; ``None`` if that is not known. For the trigger: ``False`` if it has not
        come, ``None`` if it may have come.
    said
        What it finds.
    until
        Time at which this changes by itself, milliseconds; 0 if it does not, or if that is not known.
    """

    name: str
    passes: Truth
    said: str
    until: int = 0


def why_not(user: str, customer: Customer, now: int, versions: Versions, name: str) -> dict[str, Any]:
    """Explain why a user is not in a journey, or gets no message of it.

    Parameters
    ----------
    user
        The user's id.
    customer
        The user's state; it is only read.
    now
        The partition's clock, milliseconds.
    versions
        The versions in use in the partition.
    name
        Name of the journey.

    Returns
    -------
    dict
        Values that JSON can hold.

    Raises
    ------
    JourneyNotKnown
        There is no journey of that name.
    """
    in_use = versions.journeys
    current = next((one for one in in_use.current if one.journey.name == name), None)
    if current is None and name not in {one.name for one in in_use.older}:
        raise JourneyNotKnown(name, dict.fromkeys(one.journey.name for one in in_use.by_version.values()))
    answer = _standing(user, customer, now, versions, name)
    if current is None:
        return answer
    answer["version"] = current.version
    journey, reasons = current.journey, None
    rules: list[Check] = []
    if versions.conditions is not None:
        reasons = ConditionReasons(user, customer, now, versions)
        answer["adopts_at"] = reasons.adopts_at
        if journey.enter.condition is not None:
            found = reasons.of_condition(journey.enter.condition)
            answer["tree"], answer["failing"] = reasons.described(found.tree), list(found.failing)
            rules.append(Check("condition", found.tree.truth, _CONDITION[found.tree.truth]))
    rules += [*_entry_checks(journey, customer, now), _pause(journey, versions)]
    answer["would_enter"] = all_of(check.passes for check in rules)
    checks = (_trigger(journey, customer, versions, reasons), *rules, _control_group(journey, user))
    answer["checks"] = [_described(check) for check in checks]
    answer["messages"] = _messages(journey, user, customer, now, versions)
    return answer


def _standing(user: str, customer: Customer, now: int, versions: Versions, name: str) -> dict[str, Any]:
    """Return the answer about a journey that the configuration does not have."""
    owner = None if customer.identity is None else customer.identity.owner
    return {
        "user": user,
        "as_of": moment(now),
        "journey": name,
        "configuration": versions.configuration_number,
        "version": None,
        "belongs_to": None if owner is None else owner.user,
        "runs": [run for run in describe_runs(customer, versions) if run["journey"] == name],
        "would_enter": None,
        "adopts_at": None,
        "checks": [],
        "failing": [],
        "tree": None,
        "messages": [],
        "decided": _kept(user, customer, now, name),
    }


_CONDITION = {True: "the condition is true", False: "the condition is false", None: "the condition is not known yet"}


def _kept(user: str, customer: Customer, now: int, name: str) -> list[dict[str, Any]]:
    """Return the decisions about messages of a journey that the profile keeps."""
    found = describe_messages(user, customer, now)["messages"]
    return [one for one in found if one["rule"].startswith(f"{name}/")]


def _described(check: Check) -> dict[str, Any]:
    return {"check": check.name, "passes": check.passes, "found": check.said, "until": moment(check.until)}


# --- the trigger -----------------------------------------------------------------------------------------------------


def _trigger(journey: Journey, customer: Customer, versions: Versions, reasons: ConditionReasons | None) -> Check:
    """Return what the profile knows about the trigger: that it has not come, or that it may have come."""
    match journey.enter.on:
        case EventTrigger(match):
            return _event(match.event, bool(match.where), customer)
        case SegmentTrigger(segment) | ScheduleTrigger(_, segment):
            since = _since(segment, customer, versions, reasons)
            if since is None:
                return Check("trigger", False, f"enters with the segment {segment!r}; the user is not in it")
            when = f" since {moment(since)}" if since else ""
            return Check("trigger", None, f"enters with the segment {segment!r}; the user is in it{when}{_FIRST}")
        case StageTrigger(stage):
            lifecycle, held = versions.configuration.lifecycle, customer.ledger.stage
            present = held.name if held is not None else "" if lifecycle is None else lifecycle.stages[0]
            is_there = present == stage
            said = f"enters with the stage {stage!r}; the user is in {present!r}{_FIRST if is_there else ''}"
            return Check("trigger", None if is_there else False, said)
        case SignalTrigger() as on:
            return _signal(on, customer)


_FIRST = ", and enters the journey only after leaving it and coming back"


def _event(event: str, is_compared: bool, customer: Customer) -> Check:
    if event not in get_args(EventType):
        said = f"enters with the event {event!r}; the profile does not count custom events by name"
        return Check("trigger", None, said)
    number = customer.facts.events.get(event, 0)
    compared = "; it does not keep whether one met `where`" if number and is_compared else ""
    said = f"enters with the event {event!r}; the profile has counted {number:,} of them{compared}"
    return Check("trigger", None if number else False, said)


def _since(segment: str, customer: Customer, versions: Versions, reasons: ConditionReasons | None) -> int | None:
    """Return since when the user is in a segment, 0 if that is not known; ``None`` for a user who is not in it."""
    if reasons is not None and segment in names_of(versions):
        return reasons.of_segment(segment).since
    ledger = customer.ledger
    return ledger.segment_since if ledger.segment == segment else None


def _signal(on: SignalTrigger, customer: Customer) -> Check:
    facts, ledger = customer.facts, customer.ledger
    match on.signal:
        case "first_purchase":
            has = f"the user has {counted(facts.orders, 'order')}"
            return Check("trigger", None if facts.orders else False, f"enters with the first purchase; {has}")
        case "cart_left":
            waits = written(on.after)
            if not facts.cart:
                return Check("trigger", False, f"enters when a cart is left for {waits}; the cart is empty")
            said = f"enters when a cart is left for {waits}; it changed last at {moment(facts.cart_at)}"
            return Check("trigger", None, said, facts.cart_at + on.after)
        case "churn_risk":
            risk = "no risk is known" if ledger.risk is None else f"it is {ledger.risk:.2f}"
            is_above = ledger.risk is not None and ledger.risk >= on.crosses
            first = ", and has to fall below that before it can rise again" if is_above else ""
            said = f"enters when the churn risk rises to {on.crosses:g}; {risk}{first}"
            return Check("trigger", None if is_above else False, said)


# --- the other rules of the entry ------------------------------------------------------------------------------------


def _entry_checks(journey: Journey, customer: Customer, now: int) -> list[Check]:
    """Return the rules about earlier runs of the user."""
    enter, runs = journey.enter, customer.ledger.runs or UserRuns()
    active = [run for run in runs.active if run.journey == journey.name]
    number = len(runs.active)
    limit = Check("limit", number < MAX_RUNS, f"{number} of at most {MAX_RUNS} runs of the user are under way")
    if enter.key:
        said = f"{counted(len(active), 'run')} under way; each value of {enter.key!r} has one of its own"
        again = f"again: {_again(journey)}, for each value of {enter.key!r}"
        return [Check("under_way", None, said), Check("again", True if _is_free(journey) else None, again), limit]
    if active and not enter.restarts:
        under_way = Check("under_way", False, f"a run is under way since {moment(active[0].entered_at)}")
    elif active:
        under_way = Check("under_way", True, "a run is under way, and a new one replaces it")
    else:
        under_way = Check("under_way", True, "no run is under way")
    last = runs.entered.get(entered_number(journey.name, ""))
    said = "the user has never entered" if last is None else f"the user entered last at {moment(last)}"
    may = may_enter(enter, last, now, is_restart=bool(active) and enter.restarts)
    until = last + enter.again_after if last is not None and enter.again == "after" and not may else 0
    return [under_way, Check("again", may, f"again: {_again(journey)}; {said}", until), limit]


def _is_free(journey: Journey) -> bool:
    return journey.enter.again in ("always", "once_left")


def _again(journey: Journey) -> str:
    enter = journey.enter
    return f"after {written(enter.again_after)}" if enter.again == "after" else enter.again


def _pause(journey: Journey, versions: Versions) -> Check:
    pause = versions.journeys.orders.paused.get(journey.name)
    if pause is None:
        return Check("pause", True, "the journey is not paused")
    fate = "new entries are refused" if pause.entries == "drop" else "new runs are held at their first step"
    return Check("pause", pause.entries != "drop", f"the journey is paused since {moment(pause.since)}; {fate}")


def _control_group(journey: Journey, user: str) -> Check:
    if not journey.holdout:
        return Check("control_group", True, "the journey has no control group")
    if is_held_out(journey, user):
        return Check("control_group", False, "the user is in the control group: runs send nothing")
    return Check("control_group", True, "the user is not in the control group")


# --- messages --------------------------------------------------------------------------------------------------------


class _Copied(NamedTuple):
    """A user with a copy of the ledger, which a decision changes."""

    facts: Seen
    ledger: Ledger


def _messages(journey: Journey, user: str, customer: Customer, now: int, versions: Versions) -> list[dict[str, Any]]:
    """Return what the planner would decide about each message of a journey now."""
    planner, found = versions.planner(), list[dict[str, Any]]()
    for _, step in places_of(journey.steps):
        if not isinstance(step, SendStep):
            continue
        rule = send_rule(journey, step)
        signal = Signal(kind="journey_step", user=user, at=now, cause="why", name=rule.name, run="why")
        recipient = Recipient(user, _Copied(customer.facts, copy(customer.ledger)), now)
        found.append({"step": step.id, **_decided(planner.plan(rule, signal, recipient))})
    return found


def _decided(one: Decision) -> dict[str, Any]:
    return {
        "outcome": one.outcome,
        "channel": one.channel,
        "reason": one.reason or None,
        "because": REASONS.get(one.reason),
        "detail": one.detail or None,
        "blocked": dict(one.blocked),
        "until": moment(one.until),
    }
