"""What a partition of ``events`` carries besides events: the clock, ticks, versions in use, orders.

Control records stand under keys that begin with a NUL byte, which no user id may contain. Readers that fold apply
them in log order, so time, versions and orders are the same in every replay.
"""

from __future__ import annotations

from typing import Literal

import msgspec

EVENTS = "events"
"""Logical name of the topic that is the event log."""
CONTROL = b"\x00"
CLOCK_KEY = b"\x00clock"
TICK_KEY = b"\x00tick"
USE_KEY = b"\x00use"
ORDER_KEY = b"\x00order"


class Clock(msgspec.Struct, tag_field="control", tag="clock", frozen=True, gc=False):
    """Names the log's one clock; the first record of each partition.

    Attributes
    ----------
    clock
        ``wall``: now is the newest broker's stamp read. ``feeder``: now is the newest tick.
    """

    clock: Literal["wall", "feeder"]


class Tick(msgspec.Struct, tag_field="control", tag="tick", frozen=True, gc=False):
    """Moves ``now``.

    Attributes
    ----------
    at
        Milliseconds since the epoch; what it says counts on a feeder's clock, the broker's stamp on a wall clock.
    """

    at: int


class Use(msgspec.Struct, tag_field="control", tag="use", frozen=True, gc=False):
    """From here on use this version; lower and equal versions are ignored.

    Attributes
    ----------
    name
        ``configuration``, ``churn``, ``segments``.
    version
        Positive, growing.
    content
        The version itself, JSON as ``name``'s own module defines it.
    """

    name: str
    version: int
    content: msgspec.Raw


class Order(msgspec.Struct, tag_field="control", tag="order", frozen=True, gc=False):
    """An order to everybody.

    Attributes
    ----------
    order
        What to do, such as ``pause``.
    argument
        To what, such as a channel's name.
    """

    order: str
    argument: str = ""


Control = Clock | Tick | Use | Order
_decoder = msgspec.json.Decoder(Control)
_encoder = msgspec.json.Encoder()
_KEYS: dict[type, bytes] = {Clock: CLOCK_KEY, Tick: TICK_KEY, Use: USE_KEY, Order: ORDER_KEY}


def is_control(key: bytes | None) -> bool:
    """Whether a record of ``events`` is a control record."""
    return key is not None and key[:1] == CONTROL


def encode_control(control: Control) -> tuple[bytes, bytes]:
    r"""Key and value of a control record.

    Examples
    --------
    >>> encode_control(Tick(at=1_700_000_000_000))
    (b'\x00tick', b'{"control":"tick","at":1700000000000}')
    """
    return _KEYS[type(control)], _encoder.encode(control)


def decode_control(value: bytes) -> Control:
    """Read a control record's value; raises ``msgspec.DecodeError`` where it is none."""
    control: Control = _decoder.decode(value)
    return control
