"""A fold whose states are of the schema before: ``python -m tests.stream.upgrade.old_worker SERVERS PREFIX yes S``.

It folds as today's does, and reads and writes as the code before did: what today's writes it refuses.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import msgspec

from models.batch import Restored
from models.customer import fold, memo, upgrade
from models.customer.memo import Memo
from models.customer.repeats import WIDTH, SeenIds
from models.customer.state import _HEADER, Customer, Facts, header, unpack
from models.errors import StateMismatch
from stream.app import create_app, run_worker
from stream.connection import Connection
from stream.topology import fold_edges

_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode
_PLACE = Facts.__struct_fields__.index("seen_ids")
_FIELDS = 5
"""Of the memo then."""


def old_pack(customer: Customer) -> bytes:
    """Bytes of a customer in schema 1."""
    facts = _decode(_encode(customer.facts))[: _PLACE + 1]
    facts[_PLACE] = _old_ids(customer.facts.seen_ids)
    packed = _HEADER.pack(upgrade.SCHEMA, customer.seen, customer.next_due)
    return packed + _encode([facts, customer.ledger])


def _old_ids(ids: SeenIds) -> dict[bytes, int]:
    digests = [ids.digests[place : place + WIDTH] for place in range(0, len(ids.digests), WIDTH)]
    counts, times = ids.marks[::2], ids.marks[1::2]
    folded = [time for count, time in zip(counts, times, strict=True) for _ in range(count)]
    return dict(zip(digests, folded, strict=True))


def old_unpack(data: bytes) -> Customer:
    _check(data)
    return unpack(data)


def old_header(data: bytes) -> tuple[int, int]:
    _check(data)
    return header(data)


def _check(data: bytes) -> None:
    if data[0] != upgrade.SCHEMA:
        raise StateMismatch("profile", data[0], upgrade.SCHEMA)


def old_encode_memo(now: Memo) -> bytes:
    fields: list[Any] = _decode(_encode(now))
    return _encode(fields[:_FIELDS])


def old_read_memo(state: Restored) -> Memo:
    return msgspec.msgpack.decode(state.memo, type=Memo) if state.memo else Memo()


def on_wall_clock(state: Restored) -> bool:
    return old_read_memo(state).clock == "wall"


def become_old() -> None:
    """Let this process's fold read and write as the code before did."""
    old = {"pack": old_pack, "unpack": old_unpack, "header": old_header, "encode_memo": old_encode_memo}
    for name, function in {**old, "read_memo": old_read_memo}.items():
        assert hasattr(fold, name)
        setattr(fold, name, function)
    memo.read_memo = old_read_memo


def main() -> None:
    servers, prefix, _, session_s = sys.argv[1:]
    become_old()
    edges = [replace(edge, wall_clock=edge.wall_clock and on_wall_clock) for edge in fold_edges()]
    run_worker(create_app("fold", Connection(servers, prefix=prefix, session_timeout_s=float(session_s)), edges))


if __name__ == "__main__":
    main()
