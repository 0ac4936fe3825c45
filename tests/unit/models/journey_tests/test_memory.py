"""The fold in memory: its clock stops at each timer, and a dead letter fails the test."""

from __future__ import annotations

from typing import Any

import pytest

from models.configuration.parsing import parse
from models.delivery.deliveries import Result
from models.events import Event
from models.journey_tests.memory import MemoryInstallation, WrittenRecord
from models.units import DAY, HOUR
from tests.support.event_logs import START
from tests.support.trial_journey import TEMPLATES, trial


def test_each_timer_fires_at_its_own_time_however_far_the_clock_moves() -> None:
    times: dict[str, list[int]] = {}

    def see(one: WrittenRecord) -> None:
        times.setdefault(one.topic, []).append(one.at - START)

    def play(*hours: int) -> dict[str, list[int]]:
        times.clear()
        installation = MemoryInstallation(trial(), START, lambda _: Result("delivered"), see)
        traits = {"email": "ada@example.org", "timezone": "UTC"}
        installation.fold(Event(id="i", user="ada", type="identify", at=START, traits=traits))
        installation.fold(Event(id="c", user="ada", type="consent", at=START, channel="email", granted=True))
        begin = Event(id="t", user="ada", type="custom", at=START, name="Trial Started", properties={"workspace": "w"})
        installation.fold(begin)
        for hour in hours:
            installation.pass_to(START + hour * HOUR)
        return {topic: list(found) for topic, found in times.items()}

    at_once = play(24 * 40)

    assert at_once == play(*range(24 * 40 + 1))
    assert at_once["answer"][:2] == [0, 4 * DAY + 9 * HOUR], "the start is a Thursday, so the next workday is the fifth"


@pytest.mark.parametrize(("result", "mark"), [(Result("delivered"), 1), (Result("rejected"), 2)])
def test_an_outcome_of_delivery_comes_back_to_the_fold(result: Result, mark: int) -> None:
    def journey(name: str, event: str, *steps: dict[str, Any]) -> dict[str, Any]:
        end = [{"after": "9d", "as": "late"}]
        return {"name": name, "enter": {"on": {"event": event}}, "exit": end, "steps": list(steps)}

    journeys = [
        journey("begun", "cart_add", {"id": "mail", "send": "trial_hello"}),
        journey("reached", "message_sent", {"set": {"x": 1}}),
        journey("missed", "message_failed", {"set": {"x": 2}}),
    ]
    installation = MemoryInstallation(parse({"journeys": journeys}, TEMPLATES), START, lambda _: result, lambda _: None)
    installation.fold(Event(id="i", user="ada", type="identify", at=START, traits={"email": "ada@example.org"}))
    installation.fold(Event(id="c", user="ada", type="consent", at=START, channel="email", granted=True))

    installation.fold(Event(id="a", user="ada", type="cart_add", at=START, item="mug"))

    assert installation.customer("ada").ledger.marks == {"x": mark}
