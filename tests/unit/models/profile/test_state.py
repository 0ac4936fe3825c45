from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from itertools import starmap
from operator import ne

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.batch import Restored
from models.learning.examples import MAX_VALUE
from models.log import CONTROL
from models.profile import compression
from models.profile.codec import header, pack, unpack
from models.profile.ledger import Ledger, SentMessage, Timer
from models.profile.open_examples import pack_row, unpack_row
from models.profile.state import Customer, Facts
from models.units import DAY
from tests.support.configured_versions import VERSIONS_OVER_TIME
from tests.support.event_logs import START, fold_log, shoppers, written


@pytest.fixture(scope="module")
def shop() -> Restored:
    state, _ = fold_log(written(shoppers(1, extra=VERSIONS_OVER_TIME)), itertools.repeat(500))
    return state


@pytest.fixture
def profiles(shop: Restored) -> list[bytes]:
    return [packed for key, packed in shop.records.items() if key[:1] != CONTROL]


def silent(days: float) -> Customer:
    """Make a user with an assessment this many days after the last activity."""
    customer = Customer(Facts(last_seen=START, traits={"firstName": "Ada"}), Ledger(segment="quiet"), seen=7)
    customer.ledger.assessed_at = customer.ledger.risk_at = START + int(days * DAY)
    customer.ledger.timers = [Timer(START + 9, "assess"), Timer(START + 9, "cart:x"), Timer(START + 30, "label")]
    return customer


@pytest.mark.parametrize(("days", "is_dormant"), [(0, False), (0.49, False), (0.5, True), (400, True)])
def test_a_user_assessed_after_half_a_day_of_inactivity_is_dormant_and_is_decoded_unchanged(
    days: float, is_dormant: bool
) -> None:
    customer = silent(days)

    packed = pack(customer)
    back = unpack(packed)

    assert back == customer
    assert header(packed) == (7, START + 9)
    assert (back.compressed is not None) == customer.is_dormant == is_dormant


def test_a_user_without_timer_and_risk_can_be_dormant() -> None:
    customer = silent(1)
    customer.ledger.timers, customer.ledger.risk_at = [], 0

    assert unpack(pack(customer)) == customer


def test_dormant_users_take_much_less_space_and_have_the_same_content(profiles: list[bytes]) -> None:
    customers = [unpack(packed) for packed in profiles]
    dormant = [customer for customer in customers if customer.is_dormant]
    plain = [msgspec.msgpack.encode([customer.facts, customer.ledger]) for customer in dormant]

    compressed = [pack(customer) for customer in dormant]

    assert len(dormant) > len(customers) / 2
    assert sum(map(len, compressed)) < 0.7 * sum(map(len, plain))
    assert [unpack(packed) for packed in compressed] == dormant


def test_the_encoded_bytes_do_not_depend_on_the_bytes_that_were_decoded(profiles: list[bytes]) -> None:
    for packed in profiles:
        known, read = unpack(packed), unpack(packed)
        for part in (read.facts, read.ledger):
            for name in part.__struct_fields__:
                getattr(part, name)
        read.compressed = None

        assert pack(known) == pack(read) == packed
        assert known == read


def test_an_unchanged_dormant_user_is_not_compressed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    customer = unpack(pack(silent(5)))
    monkeypatch.setattr(compression, "compress", lambda *_: b"")

    customer.ledger.assessed_at += DAY
    customer.ledger.timers.pop(0)
    customer.seen += 1
    same = pack(customer)
    customer.ledger.sent = [SentMessage("m", "r", "sms", "marketing", START)]

    assert unpack(same) == msgspec.structs.replace(customer, ledger=unpack(same).ledger)
    assert unpack(same).ledger.timers == customer.ledger.timers
    assert pack(customer) != same


@given(st.lists(st.floats(-MAX_VALUE, MAX_VALUE).filter(lambda value: value == 0 or abs(value) > 1e-30), max_size=40))
def test_a_row_keeps_sixteen_bits_of_each_number_and_is_rounded_only_once(row: list[float]) -> None:
    kept = unpack_row(pack_row(row))

    assert kept == pytest.approx(row, rel=2**-16, abs=0)
    assert unpack_row(pack_row(kept)) == kept


def test_encoding_and_decoding_a_state_does_not_round_a_row_again(profiles: list[bytes]) -> None:
    rows = [example.row for packed in profiles for example in unpack(packed).ledger.examples]
    again = [example.row for packed in profiles for example in unpack(pack(unpack(packed))).ledger.examples]

    assert rows
    assert again == rows


def test_several_threads_can_decode_at_the_same_time(profiles: list[bytes]) -> None:
    expected = [unpack(packed) for packed in profiles]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(unpack, profiles * 20))

    assert found == expected * 20


def test_two_users_differ_only_if_a_part_of_them_differs() -> None:
    one, other = unpack(pack(silent(1))), unpack(pack(silent(1)))

    assert not any(starmap(ne, [(one, other), (one.facts, other.facts), (one.ledger, other.ledger)]))
    other.facts.traits = {"firstName": "Eve"}
    assert all(starmap(ne, [(one, other), (one.facts, other.facts)]))
