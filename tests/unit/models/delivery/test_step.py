"""One step of the queue sees its own changes."""

from __future__ import annotations

from models.delivery.deliveries import DeliveryRecord, encode_delivery
from models.delivery.step import DeliveryStep

KEY = b"m1"
STORED = DeliveryRecord(status="attempted", changed=5, attempts=2)


def step() -> DeliveryStep:
    return DeliveryStep({KEY: encode_delivery(STORED)}, now=9)


def test_a_step_reads_what_is_stored_until_it_writes() -> None:
    begun = step()

    assert begun.read(KEY) == STORED

    begun.write(KEY, DeliveryRecord(status="attempted", changed=9, attempts=3))

    assert begun.read(KEY).attempts == 3


def test_a_delivery_that_this_step_has_deleted_is_not_read_from_the_stored_records() -> None:
    begun = step()
    begun.forget(KEY)

    assert begun.read(KEY).status == "expired"
    assert begun.read(KEY).attempts == 0
