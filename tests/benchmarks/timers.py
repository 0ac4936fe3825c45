"""Cost of a million pending timers: the restore, a tick that finds none due, and a clock that jumps past many.

    python -m tests.benchmarks.timers [USERS [HOURS]]

The fold of one partition runs without Kafka, and its CPU time is measured. Every user was active once, and waits for
the daily assessment. The timers are spread over a day, or over this number of hours.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import NamedTuple

from models.batch import Batch, Restored
from models.events import Event
from models.fold.partition import MAX_TIMERS, PartitionFold
from models.log import Clock, Tick, encode_control, opening
from models.profile.codec import pack
from models.profile.numbers import new_numbers, put_back
from models.profile.reducers import reduce_facts
from models.profile.state import Customer
from models.profile.timers import set_timer
from models.units import DAY, HOUR

START = 1_767_225_600_000
TICKS = 1_000
SLICES = 20


class _Record(NamedTuple):
    offset: int
    timestamp: int
    key: bytes
    value: bytes


def crowd(users: int, spread: int = DAY) -> Restored:
    """Return users who have viewed one product each. Their timers begin in two hours, and are spread over some time."""
    state = Restored()
    for number in range(users):
        customer = Customer(seen=number)
        user = f"user-{number}"
        facts, numbers = customer.facts, new_numbers()
        reduce_facts(facts, numbers, Event(id=user, user=user, type="product_view", at=START, item="sku1"))
        put_back(numbers, facts)
        set_timer(customer, "assess", START + 2 * HOUR + number * 7_919 % spread)
        state.records[user.encode()] = pack(customer)
    return state


def _batch(offset: int, *controls: Clock | Tick) -> Batch:
    pairs = (encode_control(control) for control in controls)
    return Batch("events", 0, [_Record(offset + n, 0, key, value) for n, (key, value) in enumerate(pairs)])


def main() -> None:
    """Measure, and print a line for each cost."""
    users = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    hours = int(sys.argv[2]) if len(sys.argv) > 2 else 24
    state = crowd(users, hours * HOUR)
    held = sum(map(len, state.records.values()))
    print(f"{users:,} users, a timer each within {hours} h; {held / users:.0f} bytes a packed state")

    began = time.thread_time()
    fold = PartitionFold(state)
    print(f"restore from the headers: {time.thread_time() - began:.2f} s")
    for outputs in fold.slices(_batch(0, opening("feeder"), Tick(at=START))):
        state.apply(outputs.commit)

    took = []
    for number in range(TICKS):
        began = time.thread_time()
        for outputs in fold.slices(_batch(2 + number, Tick(at=START + number))):
            state.apply(outputs.commit)
        took.append(time.thread_time() - began)
    print(f"a tick that finds none due: {statistics.median(took) * 1e6:.0f} us (median of {TICKS:,})")

    slices, fired = [], 0.0
    began = time.thread_time()
    for outputs in fold.slices(_batch(2 + TICKS, Tick(at=START + 3 * DAY))):
        state.apply(outputs.commit)
        slices.append(time.thread_time() - began)
        fired += outputs.counts.get(("timers_fired", "assess"), 0.0)
        if len(slices) == SLICES:
            break
        began = time.thread_time()
    print(
        f"a clock that jumps past all of them: slices of {MAX_TIMERS:,}, {statistics.median(slices) * 1e3:.0f} ms each "
        f"(longest {max(slices) * 1e3:.0f} ms), {sum(slices) / fired * 1e6:.0f} us a timer"
    )


if __name__ == "__main__":
    main()
