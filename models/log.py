"""Control records: the records of ``events`` that are not events: clock, ticks, versions and instructions.

Their keys begin with a NUL byte, which no user id may contain. The fold applies control records and events in the
sequence of the log. So time, versions and instructions are the same in every replay.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from models.levels import FIRST, NEWEST

EVENTS = "events"
"""Logical name of the topic that is the event log."""
CONTROL = b"\x00"
"""First byte of the key of every control record."""
CLOCK_KEY = b"\x00clock"
TICK_KEY = b"\x00tick"
USE_KEY = b"\x00use"
INSTRUCTION_KEY = b"\x00order"
HISTORY_KEY = b"\x00history"
SPLIT_KEY = b"\x00split"
CAMPAIGN_KEY = b"\x00campaign"
JOURNEY_KEY = b"\x00journey"


class Clock(msgspec.Struct, tag_field="control", tag="clock", frozen=True, omit_defaults=True, gc=False):
    """The kind of clock that the log has; the first record of each partition.

    Attributes
    ----------
    clock
        ``wall``: the time is the newest timestamp of the broker. ``feeder``: the time is the newest tick.
    level
        Format level with which the log begins (:mod:`models.levels`).
    """

    clock: Literal["wall", "feeder"]
    level: int = FIRST


class Tick(msgspec.Struct, tag_field="control", tag="tick", frozen=True, gc=False):
    """A record that moves the clock when no event does.

    Attributes
    ----------
    at
        Milliseconds since the epoch. It counts only on a feeder's clock; a wall clock uses the broker's timestamps.
    """

    at: int


class Use(msgspec.Struct, tag_field="control", tag="use", frozen=True, gc=False):
    """A record that puts a version into use. It is ignored if this or a higher version is already in use.

    Attributes
    ----------
    name
        ``configuration``, ``churn``, ``segments`` or ``level``.
    version
        A positive number; each new version has a higher one.
    content
        Content of the version, as JSON; the module of ``name`` defines its form.
    """

    name: str
    version: int
    content: msgspec.Raw


class Instruction(msgspec.Struct, tag_field="control", tag="order", frozen=True, gc=False):
    """An instruction to all processes.

    Attributes
    ----------
    name
        The instruction: ``pause`` or ``resume``. A process passes over any other one.
    argument
        What the instruction is about, such as the name of a channel.
    """

    name: str = msgspec.field(name="order")
    argument: str = ""


class BringHistory(msgspec.Struct, tag_field="control", tag="bring_history", frozen=True, gc=False):
    """A record that announces the history of clauses: they are unknown until their history is complete.

    Attributes
    ----------
    clauses
        Numbers of the clauses.
    """

    clauses: tuple[int, ...]


class UserHistory(msgspec.Struct, tag_field="control", tag="user_history", frozen=True, gc=False):
    """The memory that clauses have of one user, if they have seen all events of the log up to a place.

    It is ignored if the user had an event since. Then another record follows.

    Attributes
    ----------
    user
        The user's id.
    before
        Offset of the first event that the clauses have not seen.
    known_since
        Time of the user's first event, milliseconds.
    entries
        Stored entries by the number of the clause.
    """

    user: str
    before: int
    known_since: int
    entries: dict[int, bytes]


FROM_NOW = -1
"""The place of a record, instead of a time."""


class HistoryComplete(msgspec.Struct, tag_field="control", tag="history_complete", frozen=True, gc=False):
    """A record from which on clauses have seen the whole log.

    Attributes
    ----------
    clauses
        Numbers of the clauses.
    covered_from
        Time after which the log has every event, milliseconds; 0 if it has all events since the first one. With
        ``FROM_NOW``, the clauses have seen only what came since they wait.
    """

    clauses: tuple[int, ...]
    covered_from: int = 0


class ProfileSplit(msgspec.Struct, tag_field="control", tag="profile_split", frozen=True, omit_defaults=True, gc=False):
    """A record that ends the link of a known user with an anonymous id in one of the two profiles.

    It brings what a fold of the whole log without this link knows of the profile. It is ignored if the profile had a
    record since, or if other conditions are in use by now. Then another record follows.

    Attributes
    ----------
    id
        Id of the split; both profiles get the same.
    user
        Key of the profile that the record is for: the known user's, or that of the anonymous id.
    other
        Key of the other profile.
    until, after
        Logins up to the first time do not link the two. What those up to the second time have brought stays where it
        is. Milliseconds.
    before
        Offset of the first record of the partition that is not a part of the profile.
    previous
        Offset of the newest control record by which the profile was split before; -1 for none.
    events
        Number of events that go back to the anonymous profile.
    profile
        The profile (:mod:`models.profile.codec`). Empty if what was counted stays where it is; then the record is
        never ignored.
    configuration, population, conditions
        Versions of the configuration and of the population, and generation of the conditions, at ``before``.
    """

    id: str
    user: str
    other: str
    until: int
    after: int = 0
    before: int = 0
    previous: int = -1
    events: int = 0
    profile: bytes = b""
    configuration: int = 0
    population: int = 0
    conditions: int = 0


class CampaignOrder(msgspec.Struct, tag_field="control", tag="campaign", frozen=True, omit_defaults=True, gc=False):
    """A record that starts, pauses, resumes or cancels a campaign in a partition; a repeat has no further effect.

    Attributes
    ----------
    order
        What to do.
    id
        Id of the start.
    campaign
        For ``start``: the campaign, as JSON (:mod:`models.engage.campaigns.orders`).
    at
        For ``start``: time from which users get the message, milliseconds; 0 for the time of the record.
    by
        For ``start``: who has approved it.
    excludes
        For ``start``: ids of earlier starts whose users get no message by this one.
    number
        For ``start``: its number among the starts of this name. A partition follows each number of a name once.
    """

    order: Literal["start", "pause", "resume", "cancel"]
    id: str
    campaign: msgspec.Raw = msgspec.Raw(b"null")
    at: int = 0
    by: str = ""
    excludes: tuple[str, ...] = ()
    number: int = 1


class JourneyOrder(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An order about a journey.

    Attributes
    ----------
    journey
        Name of the journey.
    kind
        ``move``: runs under way go on in another version. ``exit``: they end. ``pause``: they are held when they could
        go on. ``resume``: those that were held go on.
    version
        For ``move`` and ``exit``: the version that new runs walk, whose runs stay as they are; empty if there is none.
        The order is ignored if it is not the one in use.
    spread
        For ``move`` and ``resume``: milliseconds over which runs are released that could go on now.
    entries
        For ``pause``: whether new runs are held at their beginning, or do not begin.
    """

    journey: str
    kind: Literal["move", "exit", "pause", "resume"]
    version: str = ""
    spread: int = 0
    entries: Literal["hold", "drop"] = "hold"


class JourneyOrders(msgspec.Struct, tag_field="control", tag="journeys", frozen=True, gc=False):
    """A record with orders about journeys."""

    orders: tuple[JourneyOrder, ...]


def opening(clock: Literal["wall", "feeder"]) -> Clock:
    """Return the first record of each partition of a new log, which begins at the newest format level."""
    return Clock(clock, NEWEST)


Control = (
    Clock
    | Tick
    | Use
    | Instruction
    | BringHistory
    | UserHistory
    | HistoryComplete
    | ProfileSplit
    | CampaignOrder
    | JourneyOrders
)
_decoder = msgspec.json.Decoder(Control)
_encoder = msgspec.json.Encoder()
_KEYS: dict[type, bytes] = {
    Clock: CLOCK_KEY,
    Tick: TICK_KEY,
    Use: USE_KEY,
    Instruction: INSTRUCTION_KEY,
    **dict.fromkeys((BringHistory, UserHistory, HistoryComplete), HISTORY_KEY),
    ProfileSplit: SPLIT_KEY,
    CampaignOrder: CAMPAIGN_KEY,
    JourneyOrders: JOURNEY_KEY,
}


def is_control(key: bytes | None) -> bool:
    """Return whether a record of ``events`` is a control record."""
    return key is not None and key[:1] == CONTROL


def encode_control(control: Control) -> tuple[bytes, bytes]:
    r"""Return the key and the value of a control record.

    Examples
    --------
    >>> encode_control(Tick(at=1_700_000_000_000))
    (b'\x00tick', b'{"control":"tick","at":1700000000000}')
    """
    return _KEYS[type(control)], _encoder.encode(control)


def decode_control(value: bytes) -> Control:
    """Read the value of a control record; raise ``msgspec.DecodeError`` if it is not one."""
    control: Control = _decoder.decode(value)
    return control
