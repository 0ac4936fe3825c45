"""A short round on the embedded broker; ``python -m tests.chaos --broker embedded`` has longer ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.arena import Arena
from tests.chaos.faults import Fault
from tests.chaos.plan import Plan
from tests.chaos.playing import play

pytestmark = pytest.mark.slow

CUT = Plan(
    seed=1,
    kind="commit",
    folds=1,
    delivers=1,
    # The fold dies after it has written outputs, before it writes the state. The delivery dies after the provider's
    # answer, before the outcome is written. The learner dies after it has committed a version, before it broadcasts it.
    faults={
        "fold-0": ((Fault("kill", "commit.sent", 6),),),
        "deliver-0": ((Fault("kill", "provider.after", 5),),),
        "learn-0": ((Fault("kill", "tell.before", 1),),),
    },
    load_s=5,
    broker="embedded",
)


async def test_state_parameters_and_e_mails_are_exact_after_one_kill_of_each_process_between_two_writes(
    tmp_path: Path,
) -> None:
    played = await play(CUT, Arena(None, None, tmp_path))

    assert played.verdict.findings == []
    assert set(played.deeds) == {"kill@commit.sent", "kill@provider.after", "kill@tell.before"}
    assert played.verdict.repeated > 0, "the records of an interrupted commit were not written again"
    assert played.verdict.examples > 0
    assert played.verdict.sent > 0
