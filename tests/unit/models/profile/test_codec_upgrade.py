from __future__ import annotations

import itertools
import json
import struct
from base64 import b64decode
from pathlib import Path

import msgspec
import pytest

from models.batch import Restored
from models.errors import StateMismatch
from models.events import Event
from models.fold.memo import Memo, encode_memo, read_memo
from models.fold.partition import PartitionFold
from models.levels import LEVEL, SCHEMA_OF_LEVEL
from models.log import Tick, Use
from models.profile import schema_4
from models.profile.codec import PREVIOUS_SCHEMA, SCHEMA, header, pack, unpack
from models.profile.numbers import ACTIVITY, CARTS, EVENING_HOUR, PURCHASES, SPEND, VIEWS, WIDTH, numbers_of
from models.profile.state import Customer
from models.units import DAY
from tests.support.configured_versions import VERSIONS_OVER_TIME
from tests.support.event_logs import batches, shoppers, written

BEFORE = json.loads(Path(__file__).with_name("partition_4.json").read_text())
"""Written by the code that wrote schema 4: seven shoppers after 17 days, with rules, scores and versions. One of them
is still stored uncompressed."""
USERS = [user for user in BEFORE["records"] if user[0] != "\x00"]
PLAIN: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("schema_4.json").read_text())
"""Users in the stored form and as plain msgpack, which commit 4e2b394 wrote under schema 4."""
HEADER = struct.Struct("<Bqq")
UNCOMPRESSED = 0x92
"""First byte of an uncompressed state: an array of two, facts and ledger."""
DECAYED = slice(13, 18)
"""Places of the decayed counts among the facts of schema 4."""

CONSENT = 28
"""Place of the consent by channel among the facts of schema 4."""
ADDED_TO_FACTS: list[object] = [0, 0, None, {}, None, []]
ADDED_TO_LEDGER: list[object] = [None, 0, None, None, None, None, {}, [], []]
ADDED_TO_CONSENT: list[object] = [b"", "", 0, False, -1, "", "", 0]
"""The fields of conditions, lifecycle, buyers, journeys and proofs of consent; a user of schema 4 has them empty."""


def stored_state() -> Restored:
    records = {key.encode(): b64decode(value) for key, value in BEFORE["records"].items()}
    return Restored(position=BEFORE["position"], memo=b64decode(BEFORE["memo"]), records=records)


@pytest.mark.parametrize("user", PLAIN)
def test_a_state_of_the_previous_schema_keeps_every_value(user: str) -> None:
    packed = b64decode(PLAIN[user]["stored"])
    schema, seen, due = HEADER.unpack_from(packed)
    facts, ledger = msgspec.msgpack.decode(b64decode(PLAIN[user]["plain"]))

    customer = unpack(packed)

    assert schema == PREVIOUS_SCHEMA
    assert customer.compressed is None, "bytes of an older layout or dictionary must not be stored again"
    assert header(packed) == (seen, due) == (customer.seen, customer.next_due)
    numbers = numbers_of(customer.facts)
    for place, (at, values) in zip((ACTIVITY, VIEWS, CARTS, PURCHASES, SPEND), facts[DECAYED], strict=True):
        assert list(numbers[place : place + WIDTH]) == [at, *(values or [0.0] * (WIDTH - 1))]
    now = msgspec.msgpack.decode(msgspec.msgpack.encode([customer.facts, customer.ledger]))
    for channel, state in facts[CONSENT].items():
        facts[CONSENT][channel] = [*state, *ADDED_TO_CONSENT]
    *first, visits, evening_visits = now[0][: -len(ADDED_TO_FACTS)]
    assert first[: DECAYED.start] + first[DECAYED.start + 1 :] == facts[: DECAYED.start] + facts[DECAYED.stop :]
    assert (visits, evening_visits) == (sum(customer.facts.hours), sum(customer.facts.hours[EVENING_HOUR:]))
    assert now[0][-len(ADDED_TO_FACTS) :] == ADDED_TO_FACTS
    assert now[1] == [*ledger, *ADDED_TO_LEDGER]
    again = pack(customer)
    assert unpack(again) == customer
    assert pack(unpack(again)) == again


@pytest.mark.parametrize("user", PLAIN)
def test_a_state_that_is_stored_in_the_previous_schema_is_the_one_that_the_code_of_that_schema_stored(
    user: str,
) -> None:
    stored = b64decode(PLAIN[user]["stored"])

    again = pack(unpack(stored), PREVIOUS_SCHEMA)

    assert again == stored
    assert pack(unpack(pack(unpack(stored))), PREVIOUS_SCHEMA) == stored


@pytest.mark.parametrize("user", PLAIN)
def test_the_previous_layout_can_be_written_again(user: str) -> None:
    plain = b64decode(PLAIN[user]["plain"])

    assert schema_4.downgraded(schema_4.upgraded(plain)) == plain


def test_both_stored_forms_of_the_previous_schema_are_covered() -> None:
    begins = {b64decode(BEFORE["records"][user])[HEADER.size] == UNCOMPRESSED for user in USERS}

    assert begins == {True, False}


def events() -> list[Event]:
    """Return the events that the previous code has folded."""
    log = shoppers(5, users=7, days=24, extra=VERSIONS_OVER_TIME)[: BEFORE["position"]]
    return [content for content in log if isinstance(content, Event)]


@pytest.mark.parametrize(("level", "schema"), SCHEMA_OF_LEVEL.items())
def test_a_fold_continues_where_the_previous_code_stopped_and_knows_every_repeat(level: int, schema: int) -> None:
    state = stored_state()
    before = {user: unpack(packed).facts.events for user, packed in state.records.items() if user[:1] != b"\x00"}
    end = read_memo(state).now + DAY
    fold = PartitionFold(state)
    raised = Use(LEVEL, level, msgspec.Raw(b"null"))

    records = [r._replace(offset=r.offset + state.position) for r in written([raised, *events(), Tick(at=end)])]
    for batch in batches(records, itertools.repeat(100)):
        for outputs in fold.slices(batch):
            state.apply(outputs.commit)

    profiles = {user: packed for user, packed in state.records.items() if user[:1] != b"\x00"}
    assert {user: unpack(packed).facts.events for user, packed in profiles.items()} == before
    assert {packed[0] for packed in profiles.values()} == {schema}


@pytest.mark.parametrize("schema", [0, PREVIOUS_SCHEMA - 1, SCHEMA + 1, 99])
def test_any_other_schema_is_refused_with_both_versions(schema: int) -> None:
    packed = bytes((schema,)) + pack(Customer())[1:]
    for read in (header, unpack):
        with pytest.raises(StateMismatch, match=f"schema version {schema}; this code reads version {SCHEMA}"):
            read(packed)


@pytest.mark.parametrize("schema", [0, 1, 0x96])
def test_a_clock_of_another_schema_is_refused(schema: int) -> None:
    with pytest.raises(StateMismatch, match="clock"):
        read_memo(Restored(memo=bytes((schema,)) + encode_memo(Memo())[1:]))
