"""A user who is folded alone is the same as in the fold of the whole partition."""

from __future__ import annotations

import itertools

import pytest

from models.events import Event
from models.fold.own_fold import OwnFold
from models.log import Clock, Control, is_control, opening
from models.profile.codec import unpack
from models.units import DAY, HOUR
from tests.support.configured_versions import VERSIONS_OVER_TIME, lifecycle_version
from tests.support.event_logs import START, PartitionRecord, fold_log, shoppers, written
from tests.support.lifecycles import purchase
from tests.support.segment_logs import identified, tick, viewed


def on_the_wall(contents: list[Event | Control]) -> list[PartitionRecord]:
    """Return the records of a log whose clock is the timestamps, which are those of the ticks before."""
    found, now = [], START
    for record, content in zip(written([Clock("wall"), *contents[1:]]), contents, strict=True):
        now = max(now, getattr(content, "at", now))
        found.append(record._replace(timestamp=now))
    return found


@pytest.mark.parametrize("clock", ["feeder", "wall"])
@pytest.mark.parametrize("seed", range(3))
def test_each_user_of_a_log_is_the_same_as_in_the_fold_of_all(seed: int, clock: str) -> None:
    contents = shoppers(seed, users=6, days=30, extra=VERSIONS_OVER_TIME)
    log = written(contents) if clock == "feeder" else on_the_wall(contents)
    state, _ = fold_log(log, itertools.repeat(500))
    users = {key.decode(): unpack(packed) for key, packed in state.records.items() if not is_control(key)}
    assert len(users) == 6

    for user, expected in users.items():
        own = OwnFold(0, user)
        steps = list(own.take(log))
        assert steps
        steps += own.finish(START + 30 * DAY - HOUR)
        assert own.customer == expected
        assert any(step.kind == "event" for step in steps)


def test_steps_of_time_and_of_control_records_differ_from_those_of_events() -> None:
    contents: list[Event | Control] = [
        *(opening("feeder"), lifecycle_version(1), tick(0), viewed("other", 0), identified("u", 0)),
        *(tick(DAY), purchase(1, START + DAY), tick(400 * DAY), viewed("other", 400 * DAY)),
    ]
    own = OwnFold(0, "u")

    steps = [*own.take(written(contents)), *own.finish(START + 401 * DAY)]

    events = [step.event.id for step in steps if step.event is not None]
    assert events == ["u-0-i", "m1"]
    assert {step.kind for step in steps} >= {"event", "clock"}
    assert all((step.event is None) is (step.kind != "event") for step in steps)
    first, last = steps[0], own.customer
    assert first.before is None
    assert last is not None
    assert last.ledger.stage is not None
    assert steps[-1].after == last
