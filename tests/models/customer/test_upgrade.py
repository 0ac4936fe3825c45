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
from models.customer import upgrade
from models.customer.fold import PartitionFold
from models.customer.memo import Memo, encode_memo, read_memo
from models.customer.state import SCHEMA, Customer, header, pack, unpack
from models.errors import StateMismatch
from models.events import Event
from models.log import Tick
from models.units import DAY
from tests.models.customer.logs import batches, shoppers, written

BEFORE = json.loads(Path(__file__).with_name("schema_2.json").read_text())
"""Written by the code that wrote schema 2: seven shoppers after 24 days, with rules, scores and versions."""
USERS = [user for user in BEFORE["records"] if user[0] != "\x00"]
HEADER = struct.Struct("<Bqq")
_FACTS = """identified traits first_seen last_seen events sessions session_at gap orders refunds last_order spent
refunded activity views carts purchases spend categories categories_at hours cart cart_at recent ratings rating_sum
support messages consent origin seen_ids window"""
_LEDGER = (
    """timers segment segment_version risk risk_version risk_at assessed_at examples sent withheld pending fired"""
)
FACTS, LEDGER = _FACTS.split(), _LEDGER.split()
"""Names of what stood in schema 2, in its order."""


def left_behind() -> Restored:
    records = {key.encode(): b64decode(value) for key, value in BEFORE["records"].items()}
    return Restored(position=BEFORE["position"], memo=b64decode(BEFORE["memo"]), records=records)


@pytest.mark.parametrize("user", USERS)
def test_a_state_of_the_schema_before_says_what_it_said(user: str) -> None:
    packed = b64decode(BEFORE["records"][user])
    schema, seen, due = HEADER.unpack_from(packed)
    facts, ledger = msgspec.msgpack.decode(packed[HEADER.size :])
    told: dict[str, Any] = dict(zip(FACTS + LEDGER, facts + ledger, strict=True))

    customer = unpack(packed)

    assert schema == upgrade.SCHEMA
    assert header(packed) == (seen, due) == (customer.seen, customer.next_due)
    touches, examples = told.pop("recent"), told.pop("examples")
    assert [[touch.item, touch.weight, touch.at] for touch in customer.facts.recent] == touches
    for example, (at, row, *others) in zip(customer.ledger.examples, examples, strict=True):
        assert [example.at, example.schema, example.risk, example.version, example.returned] == [at, *others]
        assert example.row == pytest.approx(row, rel=2**-16)
    for name, value in told.items():
        now = getattr(customer.facts if name in FACTS else customer.ledger, name)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(now)) == value, name
    again = pack(customer)
    assert unpack(again) == customer
    assert pack(unpack(again)) == again


def events() -> list[Event]:
    """Those that the code before has folded."""
    return [content for content in shoppers(5, users=7, days=24) if isinstance(content, Event)]


def test_a_fold_goes_on_where_the_code_before_stopped_and_knows_every_repeat() -> None:
    state = left_behind()
    before = {user: unpack(packed).facts.events for user, packed in state.records.items() if user[:1] != b"\x00"}
    end = read_memo(state).now + DAY
    fold = PartitionFold(state)

    records = [r._replace(offset=r.offset + state.position) for r in written([*events(), Tick(at=end)])]
    for batch in batches(records, itertools.repeat(100)):
        for outputs in fold.slices(batch):
            state.apply(outputs)

    profiles = {user: packed for user, packed in state.records.items() if user[:1] != b"\x00"}
    assert {user: unpack(packed).facts.events for user, packed in profiles.items()} == before
    assert {packed[0] for packed in profiles.values()} == {SCHEMA}


@pytest.mark.parametrize("schema", [0, upgrade.SCHEMA - 1, SCHEMA + 1, 99])
def test_any_other_schema_is_refused_with_both_versions(schema: int) -> None:
    packed = bytes((schema,)) + pack(Customer())[1:]
    for read in (header, unpack):
        with pytest.raises(StateMismatch, match=f"schema version {schema}; this code reads version {SCHEMA}"):
            read(packed)


@pytest.mark.parametrize("schema", [0, 1, 3, 0x96])
def test_a_clock_of_another_schema_is_refused(schema: int) -> None:
    with pytest.raises(StateMismatch, match="clock"):
        read_memo(Restored(memo=bytes((schema,)) + encode_memo(Memo())[1:]))


def test_what_is_no_state_of_schema_2_is_not_taken_for_one() -> None:
    with pytest.raises(ValueError, match="32 and 12 entries, not 2 and 0"):
        upgrade.upgraded(msgspec.msgpack.encode([[1, 2], []]))
