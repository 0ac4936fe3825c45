"""What the one dead letter topic, ``events.rejected``, says about a record: why, where it stood, and what it was."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Sequence

import msgspec

from models.batch import Output, Record
from models.errors import EventWarning, InvalidEvent, OutputTooLarge
from models.events import Origin, Trust
from models.source import Source

TOPIC = "events.rejected"
KEPT = 65_536
"""Bytes of the record that are kept."""
KEY_KEPT = 1_024
"""Bytes of its key that are kept."""
FOUND_KEPT = 300
"""Characters of the message of an unexpected error that are kept."""


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """One record that did not become an event, or could not be folded.

    Attributes
    ----------
    reason
        A stable code, such as ``bad_time``; ``fold_failed`` where a bug, not the record's form, is to blame.
    field, found, allowed
        Which field of the wire form, what stood there (shortened), what is allowed there in words; see
        :class:`~models.errors.InvalidEvent`.
    topic, partition, offset
        Where it stood (:class:`~models.source.Source`).
    at
        When it came in: the broker's stamp, or the door's clock; milliseconds.
    length
        Bytes of the whole value; -1 where there was none (a tombstone).
    sha256
        Of the whole value, hexadecimal; of a request's body that was too large, of as much as was read.
    key, content
        Base64 of the key's first 1,024 bytes (``None`` without one) and of the value's first 65,536.
    accepted
        Whether the event itself was accepted, and only ``field`` was left out.
    withdrawal
        Whether the withdrawal of consent in it counts all the same.
    origin, trust
        What its door knew: the most live origin that it can have, and whose key it came with. A replay of the letter
        gives it neither more.
    """

    reason: str
    field: str
    found: str
    allowed: str
    topic: str
    partition: int
    offset: int
    at: int
    length: int
    sha256: str
    key: str | None
    content: str
    accepted: bool = False
    withdrawal: bool = False
    origin: Origin = "live"
    trust: Trust = "server"

    @property
    def value(self) -> bytes:
        """The first 64 KiB of the record."""
        return b64decode(self.content)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Rejected)


def reject(record: Record, source: Source, error: Exception) -> Output:
    """Turn a record and its error into an output for ``events.rejected``.

    Parameters
    ----------
    record
        What was read; its key and value are kept in part, its broker's stamp says when.
    source
        Where it was read.
    error
        :class:`InvalidEvent` speaks for itself; :class:`OutputTooLarge` becomes ``output_too_large``, and anything
        else ``fold_failed``.

    Returns
    -------
    Output
        Keyed by ``topic/partition/offset``, so a repeat after a crash is recognised.
    """
    return reject_value(record.value, source, error, at=record.timestamp, key=record.key)


def reject_value(
    value: bytes | None,
    source: Source,
    error: Exception,
    *,
    at: int,
    key: bytes | None = None,
    length: int | None = None,
) -> Output:
    """Like :func:`reject`, for what was never a Kafka record, such as the body of a request.

    Where only the beginning of it was read, ``length`` says how long it is.

    Examples
    --------
    >>> output = reject_value(b"x", Source("events.in", 0, 7), InvalidEvent("bad_json", "", "x", "JSON"), at=5)
    >>> output.topic, output.key, decode_rejected(output.value).reason
    ('events.rejected', b'events.in/0/7', 'bad_json')
    """
    rejected = _rejected(value, source, _explain(error), at, key, length)
    if isinstance(error, InvalidEvent) and error.withdrawal is not None:
        rejected = msgspec.structs.replace(rejected, withdrawal=True)
    return Output(TOPIC, source.id.encode(), _encoder.encode(rejected))


def reject_details(
    value: bytes | None, source: Source, warnings: Sequence[EventWarning], *, at: int, key: bytes | None = None
) -> list[Output]:
    """Write a dead letter for each detail of an accepted event that its warning marks as ``rejected``.

    Parameters
    ----------
    value, source, at, key
        Of the whole record, as for :func:`reject_value`.
    warnings
        What was said about it.

    Returns
    -------
    list
        Outputs for ``events.rejected``, each keyed by the record's place and the path of the detail.

    Examples
    --------
    >>> bad = EventWarning("bad_email", "traits.email", "ada@", "an address such as ada@example.org", rejected=True)
    >>> [letter.key for letter in reject_details(b"{}", Source("events.in", 0, 7), [bad], at=5)]
    [b'events.in/0/7#traits.email']
    """
    outputs = []
    for warning in warnings:
        if warning.rejected:
            rejected = _rejected(value, source, warning[:4], at, key, None, accepted=True)
            outputs.append(Output(TOPIC, f"{source.id}#{warning.field}".encode(), _encoder.encode(rejected)))
    return outputs


def mark(letter: Output, origin: Origin, trust: Trust) -> Output:
    """Return a dead letter that says how far its record can be trusted."""
    rejected = msgspec.structs.replace(decode_rejected(letter.value), origin=origin, trust=trust)
    return letter._replace(value=_encoder.encode(rejected))


def _rejected(
    value: bytes | None,
    source: Source,
    explained: tuple[str, str, str, str],
    at: int,
    key: bytes | None,
    length: int | None,
    *,
    accepted: bool = False,
) -> Rejected:
    reason, field, found, allowed = explained
    content = value or b""
    if length is None:
        length = -1 if value is None else len(content)
    return Rejected(
        reason=reason,
        field=field,
        found=found,
        allowed=allowed,
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        at=at,
        length=length,
        sha256=hashlib.sha256(content).hexdigest(),
        key=None if key is None else b64encode(key[:KEY_KEPT]).decode(),
        content=b64encode(content[:KEPT]).decode(),
        accepted=accepted,
    )


def decode_rejected(value: bytes | None) -> Rejected:
    """Read a record of ``events.rejected``; raises ``msgspec.DecodeError`` where it is none."""
    return _decoder.decode(value or b"")


def reason_of(error: Exception) -> str:
    """Give the stable code of an error: the ``reason`` that metrics and the dead letter topic are keyed by."""
    return _explain(error)[0]


def _explain(error: Exception) -> tuple[str, str, str, str]:
    if isinstance(error, InvalidEvent):
        return error.reason, error.field, error.found, error.allowed
    if isinstance(error, OutputTooLarge):
        return "output_too_large", "", f"{error.size} bytes for {error.topic}", f"at most {error.limit} bytes"
    # The message of a foreign exception may quote anything, lone surrogates included: keep what UTF-8 can say.
    said = str(error)[:FOUND_KEPT].encode("utf-8", "backslashreplace").decode()
    return "fold_failed", "", f"{type(error).__name__}: {said}", "a record that can be folded; please report this"
