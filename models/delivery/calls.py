"""Calls of a provider: the queue requests them, and the dispatcher makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.delivery.suppressor import Suppressor


class Call(NamedTuple):
    """A call of the provider that is to be made for a message.

    Attributes
    ----------
    message
        The message.
    number
        Number of the attempt, from 1.
    looks_up
        Whether the call only asks the provider how that attempt ended.
    """

    message: Message
    number: int
    looks_up: bool = False


class EndedCall(NamedTuple):
    """A call that has ended.

    Attributes
    ----------
    call
        The call.
    result
        Its result.
    """

    call: Call
    result: Result


class AssignedCalls(NamedTuple):
    """Calls, each of which has a slot.

    Attributes
    ----------
    calls
        The calls. They must not be made before the outputs of their step are committed.
    waits_until
        Time until which the provider is not called, milliseconds of the wall clock. ``None`` if calls do not wait for
        a time.
    """

    calls: Sequence[Call] = ()
    waits_until: int | None = None


class CallTerms(NamedTuple):
    """Everything that a queue must know about the calls that are made for it.

    Attributes
    ----------
    name
        Name of this process, stored with its attempts. No other process ever has the same name.
    lookup_delays_ms
        Delays before the look-ups of an unknown delivery; empty if the provider cannot be asked.
    suppressor
        Makes entries of the suppression list from answers; ``None`` if there is no list.
    """

    name: str
    lookup_delays_ms: Sequence[int] = ()
    suppressor: Suppressor | None = None
