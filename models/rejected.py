"""Dead letters: the records of the topic ``events.rejected``. Each contains a refused record, and the reason."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from models.batch import Output, Record
from models.errors import EventWarning, InvalidEvent, OutputTooLarge
from models.events import Origin, Trust
from models.source import Received, Source

TOPIC = "events.rejected"
MAX_KEPT_BYTES = 65_536
"""Maximum number of bytes of a record that are kept."""
MAX_KEPT_KEY_BYTES = 1_024
"""Maximum number of bytes of a record's key that are kept."""
MAX_KEPT_MESSAGE_LENGTH = 300
"""Maximum length of the message of an unexpected error that is kept, characters."""


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter: one record that did not become an event, or could not be folded.

    Attributes
    ----------
    reason
        A stable code, such as ``bad_time``. ``fold_failed`` means that the cause is a bug, and not the record.
    field, found, allowed
        Path of the field in the wire form, the shortened value found there, and what is allowed there; as in
        :class:`~models.errors.InvalidEvent`.
    topic, partition, offset
        Place of the record (:class:`~models.source.Source`).
    at
        Time of arrival by the broker's or the HTTP door's clock, milliseconds.
    length
        Length of the whole value, bytes; -1 if there was no value (a tombstone).
    sha256
        Hash of the whole value, hexadecimal. If a request's body was too large, hash of the part that was read.
    key, content
        Base64 of the key's first 1,024 bytes (``None`` without a key), and of the value's first 65,536 bytes.
    accepted
        Whether the event itself was accepted, and only ``field`` was left out.
    withdrawal
        Whether a withdrawal of consent in the record counts although the record is refused.
    origin, trust
        The most live origin that the record can have, and the trust in its sender's key. A replay of the letter makes
        the event neither more live nor more trusted.
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
        """The first 64 KiB of the record's value."""
        return b64decode(self.content)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Rejected)


class _Original(NamedTuple):
    """A record as it came in, before it was refused; the fields are those of :func:`reject_value`."""

    value: bytes | None
    source: Source
    at: int
    key: bytes | None = None
    length: int | None = None

    def rejected(self, reason: str, field: str, found: str, allowed: str) -> Rejected:
        """Return the content of the dead letter of this record."""
        content, length = self.value or b"", self.length
        if length is None:
            length = -1 if self.value is None else len(content)
        return Rejected(
            reason=reason,
            field=field,
            found=found,
            allowed=allowed,
            topic=self.source.topic,
            partition=self.source.partition,
            offset=self.source.offset,
            at=self.at,
            length=length,
            sha256=hashlib.sha256(content).hexdigest(),
            key=None if self.key is None else b64encode(self.key[:MAX_KEPT_KEY_BYTES]).decode(),
            content=b64encode(content[:MAX_KEPT_BYTES]).decode(),
        )


def reject(record: Record, source: Source, error: Exception) -> Output:
    """Turn a record and its error into an output for ``events.rejected``.

    Parameters
    ----------
    record
        The record; its key and value are kept in part, and the broker's timestamp says when it came in.
    source
        Place that the record was read from.
    error
        An :class:`InvalidEvent` gives its own reason. :class:`OutputTooLarge` becomes ``output_too_large``, and any
        other error ``fold_failed``.

    Returns
    -------
    Output
        Keyed by ``topic/partition/offset``, so that a repeat after a crash is recognised.
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
    """Reject bytes that need not be a Kafka record, such as the body of a request; otherwise like :func:`reject`.

    Parameters
    ----------
    value
        The bytes; ``None`` for a record without a value.
    source, error
        As for :func:`reject`.
    at
        Time of arrival, milliseconds.
    key
        Key of the record, if it has one.
    length
        Length of the whole value, bytes, if only its beginning was read.

    Examples
    --------
    >>> output = reject_value(b"x", Source("events.in", 0, 7), InvalidEvent("bad_json", "", "x", "JSON"), at=5)
    >>> output.topic, output.key, decode_rejected(output.value).reason
    ('events.rejected', b'events.in/0/7', 'bad_json')
    """
    rejected = _Original(value, source, at, key, length).rejected(*_explain(error))
    return _letter(source.id, _marked(rejected, error))


def reject_received(value: bytes, received: Received, error: Exception) -> Output:
    """Reject a record, and keep how it was received, so that a replay makes it neither more live nor more trusted."""
    rejected = _Original(value, received.source, received.at).rejected(*_explain(error))
    rejected = msgspec.structs.replace(rejected, origin=received.origin, trust=received.trust)
    return _letter(received.source.id, _marked(rejected, error))


def reject_details(
    value: bytes | None, source: Source, warnings: Sequence[EventWarning], *, at: int, key: bytes | None = None
) -> list[Output]:
    """Write a dead letter for each detail of an accepted event whose warning is marked as ``rejected``.

    Parameters
    ----------
    value, source, at, key
        As for :func:`reject_value`, of the whole record.
    warnings
        The warnings about the event.

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
    original = _Original(value, source, at, key)
    return [
        _letter(f"{source.id}#{warning.field}", msgspec.structs.replace(original.rejected(*warning[:4]), accepted=True))
        for warning in warnings
        if warning.rejected
    ]


def _marked(rejected: Rejected, error: Exception) -> Rejected:
    """Mark a dead letter whose record had a withdrawal of consent that counts."""
    if isinstance(error, InvalidEvent) and error.withdrawal is not None:
        return msgspec.structs.replace(rejected, withdrawal=True)
    return rejected


def _letter(key: str, rejected: Rejected) -> Output:
    return Output(TOPIC, key.encode(), _encoder.encode(rejected))


def decode_rejected(value: bytes | None) -> Rejected:
    """Read a record of ``events.rejected``; raise ``msgspec.DecodeError`` if it is not one."""
    return _decoder.decode(value or b"")


def reason_of(error: Exception) -> str:
    """Return the stable code of an error: the ``reason`` by which metrics and dead letters are grouped."""
    return _explain(error)[0]


def _explain(error: Exception) -> tuple[str, str, str, str]:
    if isinstance(error, InvalidEvent):
        return error.reason, error.field, error.found, error.allowed
    if isinstance(error, OutputTooLarge):
        return "output_too_large", "", f"{error.size} bytes for {error.topic}", f"at most {error.limit} bytes"
    # The message of any other exception may quote lone surrogates, which UTF-8 cannot encode.
    said = str(error)[:MAX_KEPT_MESSAGE_LENGTH].encode("utf-8", "backslashreplace").decode()
    return "fold_failed", "", f"{type(error).__name__}: {said}", "a record that can be folded; please report this"
