"""Merging of recomputed facts with the ledgers in use."""

from __future__ import annotations

import pytest

from models.batch import Restored
from models.fold.memo import Memo, encode_memo
from models.levels import LEVEL, NEWEST
from models.profile import state
from models.profile.codec import pack
from models.profile.ledger import Ledger, Timer
from models.profile.state import Customer, Facts
from models.units import HOUR
from stream.rebuild.switch import FactMerger

START = 1_700_000_000_000


def in_use(users: dict[bytes, bytes]) -> Restored:
    return Restored(memo=encode_memo(Memo(numbers={LEVEL: NEWEST})), records=users)


def silent_for_hours() -> Customer:
    """Return a user who was assessed five hours after the last activity."""
    customer = Customer(Facts(last_seen=START, support=1), Ledger(segment="quiet"), seen=7)
    customer.ledger.assessed_at = START + 5 * HOUR
    customer.ledger.timers = [Timer(START + 29 * HOUR, "assess")]
    return customer


def test_a_user_with_the_same_content_in_another_form_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    rebuilt = pack(silent_for_hours())
    monkeypatch.setattr(state, "DORMANT_AFTER_MS", HOUR)
    known = pack(silent_for_hours())
    monkeypatch.undo()

    assert rebuilt != known
    assert FactMerger().merge({b"ada": rebuilt}, in_use({b"ada": known})) == {}


def test_a_user_with_other_facts_gets_the_recomputed_ones_and_a_user_without_events_gets_none() -> None:
    right, wrong = silent_for_hours(), silent_for_hours()
    wrong.facts.support = 2

    changed = FactMerger().merge({b"ada": pack(right)}, in_use({b"ada": pack(wrong), b"ben": pack(wrong)}))

    assert changed == {b"ada": pack(right), b"ben": pack(Customer(ledger=wrong.ledger, seen=7))}
