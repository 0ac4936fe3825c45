from __future__ import annotations

import itertools
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.batch import Restored
from models.customer import upgrade
from models.customer.fold import PartitionFold
from models.customer.memo import Memo, encode_memo, read_memo
from models.customer.repeats import digest_of, knows
from models.customer.state import SCHEMA, Customer, header, pack, unpack
from models.errors import StateMismatch
from models.events import Event
from models.log import Tick
from models.units import DAY, HOUR
from tests.models.customer.logs import batches, shoppers, written

BEFORE = json.loads(Path(__file__).with_name("schema_1.json").read_text())
"""Written by the code that wrote schema 1: seven shoppers after 24 days, and what that code read in them."""


def left_behind() -> Restored:
    records = {key.encode(): b64decode(value) for key, value in BEFORE["records"].items()}
    return Restored(position=BEFORE["position"], memo=b64decode(BEFORE["memo"]), records=records)


@pytest.mark.parametrize(("user", "told"), BEFORE["told"].items())
def test_a_state_of_the_schema_before_says_what_it_said(user: str, told: dict[str, Any]) -> None:
    packed = b64decode(BEFORE["records"][user])
    assert packed[0] == upgrade.SCHEMA

    customer = unpack(packed)

    facts, ledger = customer.facts, customer.ledger
    assert header(packed) == (told["seen"], told["next_due"]) == (customer.seen, customer.next_due)
    assert msgspec.to_builtins(ledger.timers) == told["timers"]
    assert (ledger.segment, ledger.risk) == (told["segment"], told["risk"])
    assert (len(ledger.sent), len(ledger.examples)) == (told["sent"], told["examples"])
    for name in ("events", "spent", "sessions", "gap"):
        assert getattr(facts, name) == told[name]
    for name in ("cart", "consent"):
        assert msgspec.to_builtins(getattr(facts, name)) == told[name]
    assert [touch.item for touch in facts.recent] == told["recent"]
    assert len(facts.seen_ids) == told["seen_ids"]
    assert unpack(pack(customer)) == customer


def test_the_clock_of_the_schema_before_is_read_and_what_it_may_have_forgotten_stays_refused() -> None:
    memo = read_memo(left_behind())

    assert (memo.clock, memo.numbers) == ("feeder", {"configuration": 2, "churn": 2, "segments": 2})
    assert memo.floor == memo.now - 48 * HOUR
    assert read_memo(Restored(memo=encode_memo(memo))) == memo


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


def test_whoever_had_as_many_ids_as_were_kept_is_refused_what_may_have_been_forgotten() -> None:
    seen = {digest_of(str(n)): n for n in range(5_000)}
    facts = [None] * 30 + [seen]

    upgraded, _ = msgspec.msgpack.decode(upgrade.upgraded(msgspec.msgpack.encode([facts, []])))

    floor, marks, digests = upgraded[30]
    assert (floor, sum(marks[::2]), marks[1::2]) == (0, 5_000, [4_999 + DAY])
    assert len(digests) == 8 * 5_000
    assert upgraded[31] is None


def test_ids_of_the_schema_before_are_known() -> None:
    state = left_behind()
    newest = {event.user: event.id for event in events()}

    assert len(newest) == 7
    for user, message_id in newest.items():
        assert knows(unpack(state.records[user.encode()]).facts.seen_ids, digest_of(message_id))


@pytest.mark.parametrize("schema", [0, SCHEMA + 1, 99])
def test_any_other_schema_is_refused_with_both_versions(schema: int) -> None:
    packed = bytes((schema,)) + pack(Customer())[1:]
    for read in (header, unpack):
        with pytest.raises(StateMismatch, match=f"schema version {schema}; this code reads version {SCHEMA}"):
            read(packed)
    with pytest.raises(StateMismatch, match="clock"):
        read_memo(Restored(memo=bytes((schema,)) + encode_memo(Memo())[1:]))


def test_what_is_no_state_of_schema_1_is_not_taken_for_one() -> None:
    with pytest.raises(ValueError, match="31 entries, not 2"):
        upgrade.upgraded(msgspec.msgpack.encode([[1, 2], []]))
