"""One fold of a log in the checkout on PYTHONPATH; :mod:`tests.benchmarks.fold_cost` runs this file as a process.

    PYTHONPATH=CHECKOUT python tests/benchmarks/fold_run.py LOG BATCH [DUMP]

It prints the CPU time in microseconds per event. With DUMP, it writes all outputs and the decoded state to that file.
The checkout may be older than this file. So this file imports only what every checkout has.
"""

from __future__ import annotations

import gc
import pickle
import struct
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from models.batch import Batch, Restored
from models.fold.partition import PartitionFold
from models.log import CONTROL
from models.profile.codec import unpack


class RunRecord(NamedTuple):
    """One record of a log in memory."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes


def main() -> None:
    """Fold the log, and print its cost."""
    log, size = Path(sys.argv[1]), int(sys.argv[2])
    pairs = msgspec.msgpack.decode(log.read_bytes(), type=list[tuple[bytes, bytes]])
    records = [RunRecord(offset, 0, key, value) for offset, (key, value) in enumerate(pairs)]
    events = sum(key[:1] != CONTROL for key, _ in pairs)
    del pairs
    state = Restored()
    fold = PartitionFold(state)
    outputs: list[tuple[str, bytes, bytes | None]] = []
    counts: dict[tuple[str, ...], float] = {}
    is_dumped = len(sys.argv) > 3
    gc.freeze()  # as stream/transport/app.py tunes the garbage collector of a worker
    gc.set_threshold(400_000, 20, 50)
    spent = 0.0
    for first in range(0, len(records), size):
        began = time.process_time()
        given = fold.fold(Batch("events", 0, records[first : first + size]))
        state.apply(given.commit)
        spent += time.process_time() - began
        if is_dumped:
            outputs += [(one.topic, one.key, one.value) for one in given.commit.records]
            for name, count in given.counts.items():
                counts[name] = counts.get(name, 0.0) + count
    print(spent / events * 1e6)
    if is_dumped:
        users = {key: plain(unpack(packed)) for key, packed in state.records.items() if key[:1] != CONTROL}
        dump = {"outputs": outputs, "counts": counts, "memo": state.memo, "users": users}
        Path(sys.argv[3]).write_bytes(pickle.dumps(dump))


def plain(customer: Any) -> dict[str, Any]:
    """Return the fields of a user as plain values, under the same names in every checkout.

    What one schema stores and the other one computes is computed here.
    """
    found: dict[str, Any] = {"seen": customer.seen, **decayed(customer.facts)}
    for part in (customer.facts, customer.ledger):
        for name in part.__struct_fields__:
            if name == "decayed":
                continue
            found[name] = msgspec.to_builtins(getattr(part, name))
    if found["categories"]:  # only their ratios matter
        together = sum(found["categories"].values())
        found["categories"] = {name: weight / together for name, weight in found["categories"].items()}
    del found["categories_at"]
    hours = found["hours"]
    return found | {"visits": sum(hours), "evening_visits": sum(hours[18:])}


def decayed(facts: Any) -> dict[str, Any]:
    """Return the decayed counts under their names of schema 4."""
    packed: bytes | None = getattr(facts, "decayed", None)
    if packed is None:
        return {}
    numbers = struct.unpack("<20d", packed.ljust(160, b"\0"))
    names = ("activity", "views", "carts", "purchases", "spend")
    rows = [numbers[place : place + 4] for place in range(0, 20, 4)]
    return {name: [int(at), tuple(values) if at else ()] for name, (at, *values) in zip(names, rows, strict=True)}


if __name__ == "__main__":
    main()
