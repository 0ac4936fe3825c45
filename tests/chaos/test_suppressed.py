"""Tests of the verdict on e-mails to suppressed addresses."""

from __future__ import annotations

import pytest

from models.delivery.address_hashes import AddressHashes
from models.delivery.suppression_rules import SuppressionMark
from tests.chaos.lives import Absence, Life
from tests.chaos.sink import Handed
from tests.chaos.suppressed import ACTS_WITHIN_MS, WAKES_WITHIN_MS, DatedEntry, handed_late

HASHES = AddressHashes([b"0123456789abcdef"])
ADA, EVE = "ada@example.org", "eve@example.org"
AT = 1_700_000_000_000


def _handed(after_ms: int, *, is_marketing: bool = True, address: str = ADA) -> list[Handed]:
    return [Handed(AT + after_ms, address, is_marketing, "m1")]


def _bounced(address: str = ADA, at: int = AT) -> DatedEntry:
    return DatedEntry(at, HASHES.newest("email", address), "bounce", SuppressionMark("all", at))


def _found(
    handed: list[Handed], *entries: DatedEntry, clicked: dict[str, int] | None = None, lives: tuple[Life, ...] = ()
) -> int:
    return len(handed_late(handed, entries, clicked or {}, HASHES, lives))


@pytest.mark.parametrize(("after_ms", "found"), [(-1, 0), (ACTS_WITHIN_MS, 0), (ACTS_WITHIN_MS + 1, 1)])
def test_an_entry_takes_effect_after_a_second(after_ms: int, found: int) -> None:
    assert _found(_handed(after_ms), _bounced()) == found
    assert _found(_handed(after_ms), clicked={ADA: AT}) == found


def test_a_click_stops_marketing_and_a_bounce_stops_everything_to_that_address_only() -> None:
    receipt = _handed(5_000, is_marketing=False)

    assert _found(receipt, clicked={ADA: AT}) == 0
    assert _found(receipt, _bounced()) == 1
    assert _found(_handed(5_000, address=EVE), _bounced()) == 0


def test_an_entry_stops_nothing_after_its_removal() -> None:
    removed = DatedEntry(AT + 2_000, HASHES.newest("email", ADA), "bounce", None)

    assert _found(_handed(2_500), _bounced(), removed) == 1
    assert _found(_handed(5_000), _bounced(), removed) == 0


def test_a_process_that_was_stopped_in_the_middle_of_a_call_may_finish_it() -> None:
    life = Life("deliver-0", 7, AT - 9_000, stalls=[Absence("deliver-0", AT - 100, AT + 6_000, stalled=True)])

    assert _found(_handed(6_010), _bounced(), lives=(life,)) == 0
    assert _found(_handed(6_001 + WAKES_WITHIN_MS), _bounced(), lives=(life,)) == 1
