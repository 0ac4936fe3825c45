from __future__ import annotations

import itertools
import json
import struct
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.batch import Restored
from models.errors import StateMismatch
from models.events import Event
from models.fold.memo import Memo, encode_memo, read_memo
from models.fold.partition import PartitionFold
from models.log import Tick
from models.profile.codec import PREVIOUS_SCHEMA, SCHEMA, header, pack, unpack
from models.profile.state import Customer
from models.units import DAY
from tests.support.event_logs import batches, shoppers, written

BEFORE = json.loads(Path(__file__).with_name("schema_3.json").read_text())
"""Written by the code that wrote schema 3: seven shoppers after 24 days, with rules, scores and versions. All of
them are dormant; every second one is still stored uncompressed."""
USERS = [user for user in BEFORE["records"] if user[0] != "\x00"]
HEADER = struct.Struct("<Bqq")
UNCOMPRESSED = 0x92
"""First byte of an uncompressed state: an array of two, facts and ledger."""
_FACTS = """identified traits first_seen last_seen events sessions session_at gap orders refunds last_order spent
refunded activity views carts purchases spend categories categories_at hours cart cart_at recent ratings rating_sum
support messages consent origin seen_ids window"""
_LEDGER = (
    """timers segment segment_version risk risk_version risk_at assessed_at examples sent withheld pending fired"""
)
FACTS, LEDGER = _FACTS.split(), _LEDGER.split()
"""Names of the fields of schema 3, in its order."""


def stored_state() -> Restored:
    records = {key.encode(): b64decode(value) for key, value in BEFORE["records"].items()}
    return Restored(position=BEFORE["position"], memo=b64decode(BEFORE["memo"]), records=records)


@pytest.mark.parametrize("user", USERS)
def test_a_state_of_the_previous_schema_keeps_every_value_and_gets_defaults_for_new_fields(user: str) -> None:
    packed = b64decode(BEFORE["records"][user])
    schema, seen, due = HEADER.unpack_from(packed)

    customer = unpack(packed)

    assert schema == PREVIOUS_SCHEMA
    assert header(packed) == (seen, due) == (customer.seen, customer.next_due)
    if packed[HEADER.size] == UNCOMPRESSED:
        facts, ledger = msgspec.msgpack.decode(packed[HEADER.size :])
        before: dict[str, Any] = dict(zip(FACTS + LEDGER, facts + ledger, strict=True))
        for consents in before["consent"].values():
            consents.append(0)
        for sent in before["sent"]:
            sent.append("")
        for messages in (before["sent"], before["withheld"]):
            for message in messages:
                message.append("")
        for pending in before["pending"]:
            pending.extend(["quiet_hours", 0, ""])
        for name, value in before.items():
            now = getattr(customer.facts if name in FACTS else customer.ledger, name)
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(now)) == value, name
    assert customer.facts.known_orders == {}
    again = pack(customer)
    assert unpack(again) == customer
    assert pack(unpack(again)) == again


def test_both_stored_forms_of_the_previous_schema_are_covered() -> None:
    begins = {b64decode(BEFORE["records"][user])[HEADER.size] == UNCOMPRESSED for user in USERS}

    assert begins == {True, False}


def events() -> list[Event]:
    """Return the events that the previous code has folded."""
    return [content for content in shoppers(5, users=7, days=24) if isinstance(content, Event)]


def test_a_fold_continues_where_the_previous_code_stopped_and_knows_every_repeat() -> None:
    state = stored_state()
    before = {user: unpack(packed).facts.events for user, packed in state.records.items() if user[:1] != b"\x00"}
    end = read_memo(state).now + DAY
    fold = PartitionFold(state)

    records = [r._replace(offset=r.offset + state.position) for r in written([*events(), Tick(at=end)])]
    for batch in batches(records, itertools.repeat(100)):
        for outputs in fold.slices(batch):
            state.apply(outputs.commit)

    profiles = {user: packed for user, packed in state.records.items() if user[:1] != b"\x00"}
    assert {user: unpack(packed).facts.events for user, packed in profiles.items()} == before
    assert {packed[0] for packed in profiles.values()} == {SCHEMA}


@pytest.mark.parametrize("schema", [0, PREVIOUS_SCHEMA - 1, SCHEMA + 1, 99])
def test_any_other_schema_is_refused_with_both_versions(schema: int) -> None:
    packed = bytes((schema,)) + pack(Customer())[1:]
    for read in (header, unpack):
        with pytest.raises(StateMismatch, match=f"schema version {schema}; this code reads version {SCHEMA}"):
            read(packed)


@pytest.mark.parametrize("schema", [0, 1, 3, 0x96])
def test_a_clock_of_another_schema_is_refused(schema: int) -> None:
    with pytest.raises(StateMismatch, match="clock"):
        read_memo(Restored(memo=bytes((schema,)) + encode_memo(Memo())[1:]))
