"""Write a journey test from the recorded events of a user."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from models import wire
from models.configuration.compiled import Configuration
from models.configuration.journeys.definition import ExperimentStep, Journey
from models.configuration.journeys.versions import places_of
from models.engage.journeys.splitting import arm_of, is_held_out
from models.errors import PerennialError
from models.events import FIRST_CHANNELS, INTERNAL, MARKETING, Event
from models.journey_tests.parsing import Variant, parse_test
from models.journey_tests.replacing import NamesInUse, Replacements
from models.journey_tests.running import PlayedTest, play_test
from models.units import DAY, HOUR, MINUTE, SECOND

_CATALOGUE = ("item", "category", "quantity", "price", "amount", "currency", "lines", "order_form", "rating", "granted")
_CONSENT = ("channel", "purpose", "basis", "complaint", "confirmed")
_KEPT = frozenset(("type", "name", *_CATALOGUE, *_CONSENT))
"""Fields of an event that stay as they are."""


class NothingRecorded(PerennialError):
    """The absence of anything to write a test from: name another user, another time, or a journey."""


class RecordingWish(NamedTuple):
    """The events that are to be recorded.

    Attributes
    ----------
    user
        Id of the user.
    begin, end
        The events from the first to the second time, milliseconds; a ``begin`` of 0 for all.
    of
        The journey; empty for the one that the user enters.
    """

    user: str
    begin: int
    end: int
    of: str = ""


def record_test(events: Sequence[Event], configuration: Configuration, wish: RecordingWish) -> dict[str, Any]:
    """Return a test as plain values.

    The test expects what the configuration makes of the events now. What happened in the past may differ, because the
    configuration may have been another one.

    Parameters
    ----------
    events
        The events of the user in the order of the log.
    configuration
        The configuration of the settings file.
    wish
        What is to be recorded.

    Raises
    ------
    NothingRecorded
        The user has no such event, or enters no journey, or several ones.
    """
    replaced = Replacements(NamesInUse(configuration))
    told = [event for event in events if event.type not in INTERNAL and event.message is None]
    steps = [event for event in told if wish.begin <= event.at <= wish.end]
    if not steps:
        raise NothingRecorded(f"the log has no events of the user {wish.user} in this time")
    start = wish.begin or steps[0].at // SECOND * SECOND
    test: dict[str, Any] = {"of": wish.of, "start": datetime.fromtimestamp(start / 1000, UTC).isoformat()}
    earlier = [event for event in told if event.at < wish.begin]
    if earlier:
        test["given"] = [_given(earlier, start, replaced)]
    test["steps"] = [_step(event, start, replaced) for event in steps]
    if wish.end > steps[-1].at:
        test["steps"].append({"at": _offset(wish.end - start)})
    journey = _journey(test, configuration, wish)
    test["of"] = journey.name
    test["world"] = _world(configuration, journey, wish.user)
    test["steps"] += _expected(test, configuration, start, replaced.user(wish.user))
    return test


def _given(events: Sequence[Event], start: int, replaced: Replacements) -> dict[str, Any]:
    traits: dict[str, Any] = {}
    consent: dict[str, str] = {}
    for event in events:
        if event.type == "identify":
            traits |= event.traits or {}
        elif event.type == "consent":
            for channel in (event.channel,) if event.channel else FIRST_CHANNELS:
                name = f"{event.purpose or MARKETING}.{channel}"
                consent[name] = "granted" if event.is_grant else "withdrawn"
    known_for = min(max((start - events[0].at) // SECOND, 1), 999_999)
    return {
        "user": replaced.user(events[0].user),
        "traits": replaced.traits(traits),
        "consent": consent,
        "known_for": f"{known_for}s" if known_for < 999_999 else f"{(start - events[0].at) // DAY}d",
    }


def _step(event: Event, start: int, replaced: Replacements) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(wire.encode(event))
    kept: dict[str, Any] = {"type": said["type"], "user": replaced.user(event.user)}
    kept |= {name: value for name, value in said.items() if name in _KEPT}
    if event.type != "custom":
        kept.pop("name", None)  # such as the title of a page
    if event.order is not None:
        kept["order"] = replaced.text("order", event.order)
    if event.type == "support_message" or "text" in said:
        kept["text"] = "text"
    if event.traits:
        kept["traits"] = replaced.traits(event.traits) if event.type == "identify" else dict(event.traits)
    properties = replaced.properties(event.properties or {})
    if properties:
        kept["properties"] = properties
    return {"at": _offset(event.at - start), "event": kept}


def _offset(length: int) -> str:
    """Return a distance in the form of a test.

    Examples
    --------
    >>> _offset(DAY + 90 * MINUTE), _offset(0), _offset(-250)
    ('+1d1h30m', '+0s', '-250ms')
    """
    rest, parts = abs(length), []
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)):
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number}{unit}")
    return ("-" if length < 0 else "+") + ("".join(parts) or "0s")


def _journey(test: dict[str, Any], configuration: Configuration, wish: RecordingWish) -> Journey:
    """Return the journey that is asked for, or the only one that the user enters."""
    journeys = {journey.name: journey for journey in configuration.journeys}
    if not journeys:
        raise NothingRecorded("the settings file has no journeys")
    if wish.of:
        if wish.of not in journeys:
            raise NothingRecorded(f"there is no journey {wish.of}; journeys: {', '.join(journeys)}")
        return journeys[wish.of]
    entered: set[str] = set()
    for journey in configuration.journeys:
        world = _world(configuration, journey, wish.user)
        entries = _played({**test, "of": journey.name, "world": world}, configuration).entries
        entered |= {entry.name for entry in entries if entry.kind in ("entered", "refused")}
    if len(entered) != 1:
        found = f"enters {', '.join(sorted(entered))}" if entered else "enters no journey of the settings file"
        raise NothingRecorded(f"the user {wish.user} {found} in this time; name one of {', '.join(journeys)} with --of")
    return journeys[entered.pop()]


def _world(configuration: Configuration, journey: Journey, user: str) -> dict[str, Any]:
    """Return the arms of the user, which follow from the id that is replaced, and the control group."""
    arms: dict[str, str] = {}
    for one in configuration.journeys:
        for _, step in places_of(one.steps):
            if isinstance(step, ExperimentStep):
                arms[step.experiment] = step.arms[arm_of(step.experiment, step.arms, user)].name
    return {**({"arms": arms} if arms else {}), "holdout": is_held_out(journey, user)}


def _played(test: dict[str, Any], configuration: Configuration) -> PlayedTest:
    """Return what happens in a test; the expectation is only there because a test needs one."""
    parsed = parse_test({**test, "steps": [*test["steps"], {"expect": {"entered": 0}}]}, configuration)
    return play_test(parsed, configuration, Variant())


def _expected(test: dict[str, Any], configuration: Configuration, start: int, user: str) -> list[dict[str, Any]]:
    """Return what the configuration makes of the events, as expectations."""
    played = _played(test, configuration)
    entries = [entry for entry in played.entries if entry.user == user]
    found: list[dict[str, Any]] = []
    for entry in entries:
        if entry.kind == "message" and entry.message is not None:
            wanted = {"message": entry.name, "channel": entry.message.channel, "at": _offset(entry.at - start)}
            found.append({"expect": wanted})
        elif entry.kind == "dropped":
            found.append({"expect": {"dropped": {"message": entry.name, "reason": entry.reason}}})
    own = [entry for entry in entries if entry.name == test["of"]]
    last: dict[str, Any] = {"nothing_else": True, "entered": sum(entry.kind == "entered" for entry in own)}
    ended = [entry.detail for entry in own if entry.kind == "ended"]
    if ended:
        last["ended"] = ended[-1]
    standing = played.standing(user)
    if standing.marks:
        last["mark"] = standing.marks
    found.append({"expect": last})
    for run in standing.runs:
        if run.journey == test["of"] and run.step:
            until = {"until": _offset(run.until - start)} if run.until else {}
            found.append({"expect": {"run": {"in": run.step, **until}}})
    return found
