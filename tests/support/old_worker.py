"""A fold whose states have the previous schema: ``python -m tests.support.old_worker SERVERS PREFIX yes S``.

It folds with today's code, but reads and writes states as the release with the previous schema did. It refuses states
of today's schema. If ``PERENNIAL_UPGRADE_FROM`` names a checkout of an earlier release, this program runs the worker of
that checkout instead.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from models.errors import StateMismatch
from models.profile import codec, schema_4
from models.profile.codec import HEADER, PREVIOUS_SCHEMA, header, unpack
from models.profile.state import Customer
from stream.cluster.connection import Connection
from stream.transport.app import create_app, run_worker
from stream.worker.topology import fold_agents

FROM = "PERENNIAL_UPGRADE_FROM"
_encode = msgspec.msgpack.Encoder().encode


def old_pack(customer: Customer, schema: int = PREVIOUS_SCHEMA) -> bytes:
    """Encode a customer in schema 4, and without compression."""
    body = schema_4.downgraded(_encode([customer.facts, customer.ledger]))
    return HEADER.pack(PREVIOUS_SCHEMA, customer.seen, customer.next_due) + body


def old_unpack(data: bytes) -> Customer:
    _check(data)
    return unpack(data)


def old_header(data: bytes) -> tuple[int, int]:
    _check(data)
    return header(data)


def _check(data: bytes) -> None:
    if data[0] != PREVIOUS_SCHEMA:
        raise StateMismatch("profile", data[0], PREVIOUS_SCHEMA)


def become_old() -> None:
    """Make the fold of this process read and write as the previous release did."""
    for name, function in {"pack": old_pack, "unpack": old_unpack, "header": old_header}.items():
        assert hasattr(codec, name)
        setattr(codec, name, function)


def folding_worker(checkout: Path) -> str:
    """Return the name of the module that runs the fold of a checkout; its package differs between releases."""
    (found,) = (checkout / "tests").rglob("folding_worker.py")
    return ".".join(found.relative_to(checkout).with_suffix("").parts)


def main() -> None:
    if checkout := os.environ.get(FROM):
        os.chdir(checkout)
        worker = [sys.executable, "-m", folding_worker(Path(checkout)), *sys.argv[1:]]
        os.execve(sys.executable, worker, {**os.environ, "PYTHONPATH": checkout})
    servers, prefix, _, session_s = sys.argv[1:]
    become_old()
    run_worker(
        create_app("fold", Connection(servers, prefix=prefix, session_timeout_s=float(session_s)), fold_agents())
    )


if __name__ == "__main__":
    main()
