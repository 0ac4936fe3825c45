"""Wait for the end of a round: everything is folded and delivered, and no timer is due soon."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from tests.chaos.flow import Flow
from tests.chaos.learners import QuietLearners
from tests.chaos.lives import now_ms
from tests.chaos.reference import Reference
from tests.chaos.running_round import RunningRound

logger = logging.getLogger(__name__)

IDLE_MS = 10_000
"""A round ends only if no timer becomes due within this time, milliseconds."""


async def settle(
    loading: asyncio.Future[Any],
    reference: Reference,
    learners: QuietLearners,
    flow: Flow,
    round_: RunningRound,
) -> str:
    """Wait until everything is acknowledged, folded and delivered, and nothing is due soon.

    Returns
    -------
    str
        Empty, or a description of what is still pending after ``patience_s`` of the round.
    """
    deadline = time.monotonic() + round_.patience_s
    what, said = "not everything was acknowledged", ""
    while time.monotonic() < deadline:
        if loading.done():
            loading.result()
            await reference.catch_up()
            await learners.catch_up()
            what = _unsettled(reference, learners, flow, round_)
            if not what:
                return ""
        if what != said:
            logger.debug("waiting: %s", what)
            said = what
        await asyncio.sleep(0.2)  # poll, because an idle log gives no event to await
    return f"not at rest after {round_.patience_s} s: {what}"


def _unsettled(reference: Reference, learners: QuietLearners, flow: Flow, round_: RunningRound) -> str:
    unfolded = [
        f"partition {number} at {position} of {end}"
        for number, (position, end) in enumerate(zip(flow.positions, reference.positions, strict=True))
        if position != end
    ]
    if unfolded:
        return ", ".join(unfolded)
    if moving := reference.between_profiles:
        return f"{moving} records between profiles are not in the log"
    if missing := set(reference.messages) - reference.outcomes.keys():
        return f"{len(missing)} messages without an outcome"
    if reference.next_due is not None and reference.next_due < now_ms() + IDLE_MS:
        return f"a timer is due at {reference.next_due}"
    for name, quiet in learners.models.items():
        if flow.learned[name] != quiet.position:
            return f"the learner of {name} at {flow.learned[name]} of {quiet.position}"
        if any(max(each.get(name, {}), default=0) != quiet.newest for each in reference.broadcasts):
            return f"not every partition has version {quiet.newest} of {name}"
    if asleep := round_.crew.stopped():
        return f"stopped: {', '.join(asleep)}"
    if waiting := round_.newcomers_wait():
        return f"not in their groups yet: {', '.join(waiting)}"
    return ""
