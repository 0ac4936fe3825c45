"""A few rounds of the suite, on every change; ``python -m tests.chaos`` plays fifty."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from stream.processes.exits import NOT_OWNER
from tests.chaos.arena import Arena, an_arena
from tests.chaos.plan import plan
from tests.chaos.playing import play

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

STALL, DELIVERY, BROKER = 3, 4, 8
"""Seeds: a fold stopped before a commit, deliveries killed at their points, a broker that is killed and stopped."""


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """A broker that no other test uses, because it will be killed."""
    if not os.environ.get("KAFKA_HOME"):
        pytest.skip("KAFKA_HOME names no Kafka distribution")
    with an_arena(tmp_path_factory.mktemp("chaos"), mount=False) as found:
        yield found


async def test_a_fold_that_wakes_up_while_its_successor_runs_changes_nothing(arena: Arena) -> None:
    played = await play(plan(STALL), arena)

    assert played.verdict.findings == []
    assert played.exits[NOT_OWNER] > 0, "no process woke up while a successor ran"
    assert played.deeds["rebalance beside a fold that woke up"] > 0
    assert played.verdict.versions > 0, "learners published nothing that could be compared"


async def test_deliveries_that_die_between_attempt_and_outcome_send_nothing_twice(arena: Arena) -> None:
    played = await play(plan(DELIVERY), arena)

    assert played.verdict.findings == []
    assert played.verdict.sent > 0
    assert any(deed.startswith("kill@provider") for deed in played.deeds), "no process died during a call"
    assert played.verdict.suppressed > 0, "the suppression list stopped nothing"


async def test_a_broker_that_dies_loses_and_doubles_nothing(arena: Arena) -> None:
    played = await play(plan(BROKER), arena)

    assert played.verdict.findings == []
    assert played.deeds["broker"] > 0
    assert played.deeds["slow"] > 0
    assert played.deeds["terminate"] > 0, "no process was asked to end while the broker was away"
