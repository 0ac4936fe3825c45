"""Recomputed facts, merged with the ledger in use."""

from __future__ import annotations

import pytest

from models.batch import Restored
from models.errors import StateMismatch
from models.fold.memo import Memo, encode_memo, read_memo
from models.fold.rebuilt import carry_memo, carry_over
from models.profile.codec import SCHEMA, pack, unpack
from models.profile.ledger import Ledger, SentMessage, Timer
from models.profile.links import IdentityLink, IdentityOwner, ProfileIdentity
from models.profile.state import Customer, Facts

LEDGER = Ledger(
    timers=[Timer(9, "assess")], sent=[SentMessage("m1", "welcome", "email", "marketing", 5)], fired={"welcome": 5}
)


def test_everything_in_the_ledger_stays_and_every_fact_is_new() -> None:
    current = pack(Customer(Facts(support=7, orders=3), LEDGER, seen=40))
    rebuilt = pack(Customer(Facts(support=1, refunds=2), Ledger(timers=[Timer(1, "label")]), seen=39))

    carried = unpack(carry_over(rebuilt, current))

    assert carried == Customer(Facts(support=1, refunds=2), LEDGER, seen=40)
    assert carried.next_due == 9


def test_equal_facts_give_equal_bytes() -> None:
    current = pack(Customer(Facts(support=1), LEDGER, seen=40))

    assert carry_over(pack(Customer(Facts(support=1), Ledger(), seen=40)), current) == current


def test_links_stay_and_their_numbers_of_events_are_new() -> None:
    used, again = IdentityLink(5, "m1", "e1", 6, "merged", 9, 4, 1, None, 3), IdentityLink(5, "m1", part=1)
    again.events, again.forwarded = 2, 7
    owner = IdentityOwner("u1", 5, "m1", "e1", 9, 3)
    current = Customer(identity=ProfileIdentity(links={"anonymous:a1": used}, owner=owner))
    rebuilt = Customer(identity=ProfileIdentity({"anonymous:a1": again}, IdentityOwner("u1", 5, "m1", "e1", 8, 7)))

    identity = unpack(carry_over(pack(rebuilt), pack(current))).identity

    assert identity is not None
    assert identity.links == {"anonymous:a1": IdentityLink(5, "m1", "e1", 6, "merged", 9, 2, 1, None, 7)}
    assert identity.owner == IdentityOwner("u1", 5, "m1", "e1", 9, 7)


def test_a_user_unknown_to_the_new_code_keeps_the_ledger_and_one_unknown_to_the_old_code_gets_an_empty_one() -> None:
    customer = Customer(Facts(support=1), LEDGER, seen=40)

    assert unpack(carry_over(None, pack(customer))) == Customer(Facts(), LEDGER, seen=40)
    assert unpack(carry_over(pack(customer), None)) == Customer(Facts(support=1), Ledger(), seen=40)


def test_either_state_of_another_schema_is_refused() -> None:
    current = pack(Customer())
    later = bytes((SCHEMA + 1,)) + current[1:]

    for pair in ((later, current), (current, later)):
        with pytest.raises(StateMismatch):
            carry_over(*pair)


@pytest.mark.parametrize(("rebuilt", "current"), [(50, 70), (70, 50)])
def test_the_merged_memo_has_the_larger_floor_and_otherwise_equals_the_memo_in_use(rebuilt: int, current: int) -> None:
    memo = Memo(now=99, clock="wall", numbers={"churn": 4}, paused=["sms"], failing=2, floor=current)

    carried = carry_memo(
        encode_memo(Memo(now=98, clock="wall", numbers={"churn": 3}, floor=rebuilt)), encode_memo(memo)
    )

    assert read_memo(Restored(memo=carried)) == Memo(99, "wall", {"churn": 4}, ["sms"], 2, 70)
