"""Tests of unknown messages: a crash, a stall or an absence of the broker explains each, or the round has a finding."""

from __future__ import annotations

import pytest

from models.delivery.deliveries import DeliveryRecord
from tests.chaos.lives import Absence, Life
from tests.chaos.unknown import PLACES, Attempt, Troubles, open_attempt, unexplained
from tests.chaos.verdict import outcomes_agree

ATTEMPT = Attempt("m1", "dispatcher-a", at=10_000, unknown=20_000)


def _life(code: int | None = None, end: int | None = None, stalls: tuple[Absence, ...] = ()) -> Life:
    return Life("deliver-0", 7, 1_000, end=end, code=code, stalls=list(stalls))


def _found(life: Life, broker: tuple[Absence, ...] = (), hanging: tuple[Absence, ...] = ()) -> list[str]:
    return unexplained([ATTEMPT], Troubles({"dispatcher-a": life}, broker, hanging))


@pytest.mark.parametrize(
    "life",
    [_life(-9, 12_000), _life(75, 12_000), _life(76, 12_000), _life(stalls=(Absence("deliver-0", 12_000, 19_000),))],
)
def test_a_life_that_ended_or_was_stalled_after_its_attempt_explains_an_unknown_message(life: Life) -> None:
    assert _found(life) == []


@pytest.mark.parametrize(
    "life",
    [
        _life(),  # it is still running
        _life(-9, 25_000),  # it died later
        _life(0, 12_000),  # it ended cleanly, and reported
        _life(stalls=(Absence("deliver-0", 2_000, 9_000),)),  # it was stalled before
    ],
)
def test_a_process_that_ran_until_the_message_became_unknown_does_not_explain_it(life: Life) -> None:
    assert len(_found(life)) == 1


def test_the_death_of_another_process_does_not_explain_an_unknown_message() -> None:
    other = Life("deliver-1", 8, 1_000, end=12_000, code=-9)

    assert len(unexplained([ATTEMPT], Troubles({"dispatcher-a": _life(), "dispatcher-b": other}))) == 1
    assert len(unexplained([ATTEMPT], Troubles({"dispatcher-b": other}))) == 1


def test_a_process_that_ends_cleanly_explains_an_unknown_message_only_while_the_provider_hangs() -> None:
    assert _found(_life(0, 12_000), hanging=(Absence("provider", 9_000, 15_000),)) == []
    assert len(_found(_life(0, 12_000), hanging=(Absence("provider", 2_000, 9_000),))) == 1


def test_a_broker_that_was_away_meanwhile_explains_an_unknown_message_and_an_earlier_absence_does_not() -> None:
    assert _found(_life(), (Absence("broker", 12_000, 15_000),)) == []
    assert len(_found(_life(), (Absence("broker", 2_000, 9_000),))) == 1


def test_a_process_leaves_at_most_as_many_unknown_messages_as_it_makes_concurrent_calls() -> None:
    attempts = [ATTEMPT._replace(message=f"m{n}") for n in range(PLACES + 1)]
    troubles = Troubles({"dispatcher-a": _life(-9, 12_000)})

    assert unexplained(attempts[:PLACES], troubles) == []
    assert unexplained(attempts, troubles) == [f"deliver-0 (process 7) left {PLACES + 1}, with {PLACES} places"]


def test_the_attempt_that_counts_is_the_last_one_before_the_message_became_unknown() -> None:
    def at(status: str, changed: int, by: str = "") -> DeliveryRecord:
        return DeliveryRecord(status=status, changed=changed, by=by)  # type: ignore[arg-type]  # all are statuses

    changes = [
        at("queued", 1), at("attempted", 2, "a"), at("queued", 3), at("attempted", 4, "b"), at("unknown", 9),
    ]  # fmt: skip

    assert open_attempt("m1", changes) == Attempt("m1", "b", 4, 9)
    assert open_attempt("m1", changes[:-1]) is None


def test_only_an_unknown_outcome_may_be_followed_by_another_one() -> None:
    unknown, sent, failed = "message_unknown", "message_sent", "message_failed"

    assert all(outcomes_agree(kinds, ordered=True) for kinds in [(sent,), (unknown, sent), (unknown, failed)])
    assert not any(
        outcomes_agree(kinds, ordered=True) for kinds in [(sent, unknown), (sent, failed), (unknown, sent, failed)]
    )
    assert outcomes_agree((sent, unknown), ordered=False)
    assert not outcomes_agree((sent, failed), ordered=False)
