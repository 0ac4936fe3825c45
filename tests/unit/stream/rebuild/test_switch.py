from __future__ import annotations

import pytest

from models.profile import state
from models.profile.codec import pack
from models.profile.ledger import Ledger, Timer
from models.profile.state import Customer, Facts
from models.units import HOUR
from stream.rebuild.switch import FactMerger

START = 1_700_000_000_000


def silent_for_hours() -> Customer:
    """Somebody whom the models looked at five hours after they were here last."""
    customer = Customer(Facts(last_seen=START, support=1), Ledger(segment="quiet"), seen=7)
    customer.ledger.assessed_at = START + 5 * HOUR
    customer.ledger.timers = [Timer(START + 29 * HOUR, "assess")]
    return customer


def test_who_stands_in_another_form_and_says_the_same_is_not_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    rebuilt = pack(silent_for_hours())
    monkeypatch.setattr(state, "DORMANT_AFTER_MS", HOUR)
    known = pack(silent_for_hours())
    monkeypatch.undo()

    assert rebuilt != known
    assert FactMerger().merge({b"ada": rebuilt}, {b"ada": known}) == {}


def test_who_has_other_facts_is_carried_and_who_is_known_no_more_is_emptied() -> None:
    right, wrong = silent_for_hours(), silent_for_hours()
    wrong.facts.support = 2

    changed = FactMerger().merge({b"ada": pack(right)}, {b"ada": pack(wrong), b"ben": pack(wrong)})

    assert changed == {b"ada": pack(right), b"ben": pack(Customer(ledger=wrong.ledger, seen=7))}
