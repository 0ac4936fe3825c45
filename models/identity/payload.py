"""The payload of a merge record: the profile of an anonymous visitor, packed and bounded."""

from __future__ import annotations

from models.profile import codec, seen_ids
from models.profile.ledger import Ledger
from models.profile.state import Customer, Facts

MAX_PAYLOAD_BYTES = 512 * 1024
"""Maximum size of a payload, bytes. In its record it takes a third more, and the record has to fit into one batch."""


def pack_payload(facts: Facts, ledger: Ledger, schema: int) -> bytes:
    """Pack what an anonymous profile hands over.

    If it is too large, the oldest message ids are left out first, and then the waiting messages, newest first.

    Parameters
    ----------
    facts, ledger
        The profile; both may be changed.
    schema
        Schema of the stored users in use.
    """
    while len(packed := codec.pack(Customer(facts, ledger), schema)) > MAX_PAYLOAD_BYTES:
        ids = facts.seen_ids
        if ids.marks:
            seen_ids.forget(ids, ids.marks[len(ids.marks) // 4 * 2 + 1] + 1)
        elif ledger.pending:
            ledger.pending = ledger.pending[:-1]
        else:
            break
    return packed


def unpack_payload(payload: bytes) -> Customer:
    """Read what :func:`pack_payload` wrote.

    Raises
    ------
    StateMismatch
        It was written under a schema that this code cannot read.
    """
    return codec.unpack(payload)


def replaced_facts(payload: bytes, facts: bytes) -> bytes:
    """Return a payload with the facts of another one; what it says about our messages stays as it is.

    Parameters
    ----------
    payload
        The payload; empty for one without any messages.
    facts
        The payload whose facts are taken.

    Examples
    --------
    >>> logged, right = codec.pack(Customer(Facts(support=1), Ledger(fired={"welcome": 7}))), codec.pack(Customer())
    >>> joint = unpack_payload(replaced_facts(logged, right))
    >>> joint.facts.support, joint.ledger.fired
    (0, {'welcome': 7})
    """
    if not payload:
        return facts
    return codec.pack(Customer(unpack_payload(facts).facts, unpack_payload(payload).ledger))
