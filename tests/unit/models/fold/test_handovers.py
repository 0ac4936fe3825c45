"""Facts of merged users are computed again in two passes, and equal those of a fold by the new code alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batch import Batch, Restored
from models.events import Event, MergeRecord, encode_event
from models.fold import step
from models.fold.handovers import answers_of, merge_in, merges_in, recomputed
from models.fold.partition import PartitionFold
from models.fold.visitors_again import VisitorsAgain
from models.identity.payload import unpack_payload
from models.profile.codec import pack
from tests.support.event_logs import START, PartitionRecord
from tests.support.facts import assert_same
from tests.support.folding_worker import wrong
from tests.support.persons import Persons
from tests.support.two_passes import customers, fold_in_two_passes

VISITORS = tuple(f"anonymous:a{number}" for number in range(4))
USERS = ("u1", "u2", "u3")


class LoginDeed(msgspec.Struct, frozen=True):
    """One thing that an id does: an event, or a login of a visitor as a user."""

    kind: str
    user: int
    visitor: int


DEEDS = st.lists(
    st.builds(
        LoginDeed,
        kind=st.sampled_from(["click", "cart_add", "cart_add", "as_visitor", "as_visitor", "login", "both"]),
        user=st.integers(0, len(USERS) - 1),
        visitor=st.integers(0, len(VISITORS) - 1),
    ),
    min_size=1,
    max_size=40,
)


@contextmanager
def wrong_code() -> Iterator[None]:
    """Fold with code that counts additions to a cart twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "reduce_facts", wrong)
        yield


def made(deed: LoginDeed, number: int) -> Event:
    """Make the event of a deed."""
    user, visitor, at = USERS[deed.user], VISITORS[deed.visitor], START + number * 1_000
    common: dict[str, Any] = {"id": f"m{number}", "at": at}
    if deed.kind == "login":
        return Event(user=user, type="identify", anonymous=visitor, **common)
    if deed.kind == "both":
        return Event(user=user, type="click", item="sku1", anonymous=visitor, **common)
    name = visitor if deed.kind == "as_visitor" else user
    kind: Any = "cart_add" if deed.kind == "as_visitor" else deed.kind
    return Event(user=name, type=kind, item=f"sku{number % 3}", amount=1_000_000, **common)


def told(deeds: list[LoginDeed], routed: list[bool]) -> Persons:
    """Fold a log; after a deed, the router may move what is on its way."""
    persons = Persons(3)
    for number, deed in enumerate(deeds):
        persons.tell(made(deed, number))
        if routed[number % len(routed)]:
            persons.route()
    persons.settle()
    return persons


@settings(max_examples=60, deadline=None)
@given(
    deeds=DEEDS, routed=st.lists(st.booleans(), min_size=1, max_size=7), sizes=st.lists(st.integers(1, 30), min_size=1)
)
def test_two_passes_with_changed_code_equal_a_log_that_this_code_alone_has_folded(
    deeds: list[LoginDeed], routed: list[bool], sizes: list[int]
) -> None:
    with wrong_code():
        old = told(deeds, routed)
    reference = told(deeds, routed)

    again, wanted = customers(fold_in_two_passes(old.logs, sizes)), customers(reference.states)

    assert again.keys() == wanted.keys()
    for user, customer in wanted.items():
        assert_same(again[user].facts, customer.facts)


def merged() -> Persons:
    """Return a log with one merged visitor, folded by the wrong code."""
    with wrong_code():
        return told([LoginDeed("as_visitor", 0, 0), LoginDeed("as_visitor", 0, 0), LoginDeed("login", 0, 0)], [True])


def test_one_pass_takes_the_visitors_facts_as_the_earlier_code_has_computed_them() -> None:
    persons = merged()
    state = Restored()
    fold = PartitionFold(state)
    log = persons.logs[persons.partition_of(USERS[0])]
    state.apply(fold.fold(Batch("events", 0, log)).commit)

    assert customers([state])[USERS[0]].facts.events == {"identify": 1, "cart_add": 4}
    again = customers(fold_in_two_passes(persons.logs))
    assert again[USERS[0]].facts.events == {"identify": 1, "cart_add": 2}


def test_an_answer_names_the_offset_of_its_notice() -> None:
    persons = merged()
    place = persons.partition_of(VISITORS[0])
    (answer,) = VisitorsAgain(place).take(persons.logs[place])

    said = answer.identity
    assert isinstance(said, MergeRecord)
    assert persons.logs[place][said.notice].value is not None
    assert b'"identity_notice"' in (persons.logs[place][said.notice].value or b"")


def test_messages_of_a_merge_record_stay_those_of_the_log() -> None:
    persons = merged()
    ((_, merge),) = merges_in(persons.logs[persons.partition_of(USERS[0])])
    said = merge.identity
    assert isinstance(said, MergeRecord)
    customer = unpack_payload(said.payload)
    customer.ledger.fired = {"welcome": 7}
    logged = msgspec.structs.replace(
        merge, identity=msgspec.structs.replace(said, payload=pack(customer), reminded=("cart",))
    )
    place = persons.partition_of(VISITORS[0])
    (answer,) = VisitorsAgain(place).take(persons.logs[place])

    taken = recomputed(logged, answer).identity
    assert isinstance(taken, MergeRecord)
    joint = unpack_payload(taken.payload)
    assert (joint.facts.events, joint.ledger.fired, taken.reminded) == ({"cart_add": 2}, {"welcome": 7}, ("cart",))


def test_only_merge_records_of_ours_are_found() -> None:
    said = Event(id="m1", user="u1", type="custom", at=START, properties={"type": "identity_merge"})

    assert merge_in(encode_event(said)) is None
    assert merge_in(b'{"type":"identity_merge"') is None
    assert merge_in(None) is None
    record = PartitionRecord(0, START, b"u1", encode_event(said))
    assert answers_of(PartitionFold(Restored()).fold(Batch("events", 0, [record]))) == []
