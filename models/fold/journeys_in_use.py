"""The journeys in use in a partition: those of the configuration, and older versions that runs still walk."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy

import msgspec

from models.conditions.clauses import Condition
from models.conditions.properties import CUSTOM, event_key
from models.configuration.compiled import send_rules
from models.configuration.journeys.definition import (
    EventTrigger,
    Journey,
    ScheduleTrigger,
    SegmentTrigger,
    SignalTrigger,
    StageTrigger,
)
from models.configuration.journeys.versions import Place
from models.engage.journeys.orders import WalkedVersion
from models.engage.journeys.walking import CompiledJourney, WalkRules, user_clauses
from models.events import Event
from models.fold.run_orders import RunOrders
from models.log import JourneyOrders
from models.profile.signals import Signal

NO_ORDERS = RunOrders()
"""The orders before any."""
JOURNEYS_KEY = b"\x00journeys"
"""Key in ``profiles`` under which the older versions are stored."""


class _Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    older: tuple[Journey, ...] = ()
    orders: RunOrders = NO_ORDERS


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(_Stored).decode


class JourneysInUse:
    """The journeys of one configuration in one partition.

    Parameters
    ----------
    current
        The journeys of the configuration.
    older
        Older versions that runs still walk.
    orders
        The orders about their runs.

    Attributes
    ----------
    orders
        The orders about runs.
    current
        The journeys of the configuration, compiled.
    by_version
        All of them, by their versions.
    older
        The older versions.
    older_sends
        The ``send`` steps of the older versions, as rules by their names.
    clauses
        The clauses that the evaluation of the user's conditions has to watch.
    events
        Names of the events to which a journey may react.
    schedules, takers
        The journeys that members of a segment enter at a time of day, and those that members enter when the journey is
        applied.
    has_goals
        Whether one of them has a goal.
    reached
        The places to which runs have come, by journey, if a test of journeys asks for them; otherwise ``None``.
    """

    def __init__(
        self, current: Iterable[Journey] = (), older: Iterable[Journey] = (), orders: RunOrders = NO_ORDERS
    ) -> None:
        self.orders = orders
        self.current = tuple(map(CompiledJourney, current))
        self.by_version = {one.version: one for one in (*map(CompiledJourney, older), *self.current)}
        versions = {one.version for one in self.current}
        self.older = tuple(one.journey for one in self.by_version.values() if one.version not in versions)
        self.older_sends = send_rules(self.older)
        self.clauses: tuple[Condition, ...] = user_clauses(one.journey for one in self.by_version.values())
        self._by_event: dict[str, list[CompiledJourney]] = {}
        self._by_signal: dict[tuple[str, str], list[CompiledJourney]] = {}
        events = {name for one in self.by_version.values() for name in one.events}
        schedules = list[CompiledJourney]()
        self._scheduled: set[str] = set()
        for one in self.current:
            match one.journey.enter.on:
                case EventTrigger(match):
                    events.add(match.event)
                    self._by_event.setdefault(match.event, []).append(one)
                case ScheduleTrigger(_, segment):
                    schedules.append(one)
                    self._scheduled.add(segment)
                case SegmentTrigger(segment):
                    self._by_signal.setdefault(("segment_entered", segment), []).append(one)
                case StageTrigger(stage):
                    self._by_signal.setdefault(("lifecycle_moved", stage), []).append(one)
                case SignalTrigger(signal):
                    # A cart has a separate timer for each journey, so the name of the journey is that of the signal.
                    name = one.journey.name if signal == "cart_left" else ""
                    self._by_signal.setdefault((signal, name), []).append(one)
        self.events = frozenset(events)
        self.schedules = tuple(schedules)
        self.takers = tuple(one for one in self.current if one.journey.enter.takes_existing)
        self.has_goals = any(one.journey.goal is not None for one in self.by_version.values())
        self.reached: set[tuple[str, Place]] | None = None

    def __repr__(self) -> str:
        """Show the amounts."""
        return f"JourneysInUse({len(self.current)} journeys, {len(self.older)} older versions)"

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.by_version)

    def reads(self, event: Event) -> bool:
        """Return whether a journey may react to an event. Traits may move the user into another time zone."""
        if self.schedules and event.traits is not None:
            return True
        events = self.events
        return bool(events) and (event_key(event) in events or (event.type == CUSTOM and CUSTOM in events))

    @property
    def has_member_entries(self) -> bool:
        """Return whether users who are members of a segment already may enter a journey."""
        return bool(self.schedules or self.takers)

    def awaits(self, signal: Signal) -> bool:
        """Return whether a journey may react to a signal."""
        return bool(self.entered_by_signal(signal)) or self.is_scheduled(signal)

    def is_scheduled(self, signal: Signal) -> bool:
        """Return whether a user has come to a segment whose members enter a journey at a time of day."""
        return signal.kind == "segment_entered" and signal.name in self._scheduled

    def entered_by_event(self, event: Event) -> list[CompiledJourney]:
        """Return the journeys that events of this name let a user enter, in the order of the configuration."""
        found = self._by_event.get(event_key(event), [])
        return [*found, *self._by_event.get(CUSTOM, [])] if event.type == CUSTOM else found

    def entered_by_signal(self, signal: Signal) -> list[CompiledJourney]:
        """Return the journeys that a signal lets a user enter, in the order of the configuration."""
        found = self._by_signal.get((signal.kind, "" if signal.kind == "churn_risk" else signal.name), [])
        if signal.kind != "churn_risk":
            return found
        return [one for one in found if _crosses(one.journey, signal)]

    def after(self, current: Iterable[Journey], active: Iterable[str]) -> JourneysInUse:
        """Return the journeys under the next configuration.

        Parameters
        ----------
        current
            The journeys of that configuration.
        active
            Versions that runs of the partition walk.
        """
        kept = dict.fromkeys((*active, *self.orders.targets))
        return JourneysInUse(
            current, [self.by_version[one].journey for one in kept if one in self.by_version], self.orders
        )

    @property
    def rules(self) -> WalkRules:
        """The rules by which runs are walked."""
        return WalkRules(self.by_version, self.orders.entries, self.orders.newest)

    def walked(self, version: str) -> WalkedVersion | None:
        """Return a version that runs may walk; ``None`` for one that the partition does not have."""
        found = self.by_version.get(version)
        return None if found is None else WalkedVersion(found.journey, found.clauses)

    def ordered(self, given: JourneyOrders, now: int, users: int) -> JourneysInUse:
        """Return the journeys after a record with orders about their runs.

        Parameters
        ----------
        given
            The record. An order about another version than the one in use is passed over.
        now
            The partition's clock, milliseconds.
        users
            Number of users of the partition.
        """
        versions = {one.journey.name: one.version for one in self.current}
        names = {one.journey.name for one in self.by_version.values()}
        acting = [
            order
            for order in given.orders
            if order.journey in names
            and (order.kind in ("pause", "resume") or order.version == versions.get(order.journey, ""))
        ]
        found = copy(self)
        found.orders = self.orders.after(acting, now, users)
        return found

    def encode(self) -> bytes:
        """Return what is stored besides the configuration."""
        return _encode(_Stored(self.older, self.orders))


def restored_journeys(current: Iterable[Journey], content: bytes | None) -> JourneysInUse:
    """Return the journeys of a configuration, with the older versions that :meth:`JourneysInUse.encode` has encoded."""
    stored = _Stored() if content is None else _decode(content)
    return JourneysInUse(current, stored.older, stored.orders)


def _crosses(journey: Journey, signal: Signal) -> bool:
    on = journey.enter.on
    return isinstance(on, SignalTrigger) and signal.previous < on.crosses <= signal.value
