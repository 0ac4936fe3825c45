"""A test that was recorded from events passes, fails on another journey, and shows nothing personal."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from models.configuration.parsing import parse
from models.engage.journeys.splitting import arm_of, is_held_out
from models.events import MICROS, Event
from models.journey_tests.recording import NothingRecorded, RecordingWish, record_test
from models.units import DAY, HOUR
from tests.support.event_logs import START
from tests.support.trial_journey import TEMPLATES, example_of, play, trial

USER = "grace-hopper-4711"
SECRETS = ("grace", "hopper", "navy", "acme", "+491701", "1906", "4711", "Arlington", "secret")


def custom(at: int, name: str, **properties: Any) -> Event:
    return Event(id=f"m-{at}", user=USER, type="custom", at=START + at, name=name, properties=properties or None)


EVENTS = [
    Event(
        id="i1",
        user=USER,
        type="identify",
        at=START - DAY,
        traits={
            "email": "grace.hopper@acme.example",
            "phone": "+491701234567",
            "firstName": "Grace",
            "timezone": "Europe/Berlin",
            "staff": False,
            "born": "1906-12-09",
            "address": {"street": "Arlington 1", "country": "DE"},
        },
    ),
    Event(id="c1", user=USER, type="consent", at=START - DAY, channel="email", granted=True),
    custom(0, "Trial Started", workspace="acme-4711", plan="pro", note="secret"),
    Event(
        id="o1",
        user=USER,
        type="purchase",
        at=START + HOUR,
        order="order-4711",
        item="mug",
        amount=9 * MICROS,
        currency="EUR",
    ),
    custom(DAY + 250, "Project Created", workspace="other-4711"),
    Event(id="x:message_sent", user=USER, type="message_sent", at=START + DAY, message="f" * 32),
    custom(2 * DAY, "Project Created", workspace="acme-4711"),
    custom(9 * DAY, "Subscribed", workspace="acme-4711", price=5),
]


def recorded(begin: int = 0, end: int = 30 * DAY, **wish: Any) -> dict[str, Any]:
    return record_test(EVENTS, trial(), RecordingWish(USER, begin, START + end, **wish))


@pytest.mark.parametrize("begin", [0, START - HOUR])
def test_a_recorded_test_passes_and_expects_what_has_happened(begin: int) -> None:
    test = recorded(begin)

    assert play(test, trial()) == []
    assert test["of"] == "trial"
    messages = [step["expect"]["message"] for step in test["steps"] if "message" in step.get("expect", {})]
    assert messages[0] == "trial/hello"
    last = {"nothing_else": True, "entered": 1, "ended": "converted", "mark": {"onboarded": True}}
    assert test["steps"][-1] == {"expect": last}
    assert ("given" in test) == bool(begin)


def test_a_run_under_way_is_expected_at_its_step() -> None:
    test = recorded(end=3 * DAY)

    assert test["steps"][-1] == {"expect": {"run": {"in": "pause", "until": "+5d"}}}
    assert play(test, trial()) == []


def test_a_recorded_test_fails_on_a_journey_that_sends_something_else() -> None:
    sections = example_of("journeys.md")
    del sections["journeys"][0]["exit"][0]

    assert play(recorded(), parse(sections, TEMPLATES)) != []


@pytest.mark.parametrize("begin", [0, START - HOUR])
def test_nothing_personal_is_in_a_recorded_test(begin: int) -> None:
    text = msgspec.json.encode(recorded(begin)).decode().lower()

    assert [secret for secret in SECRETS if secret.lower() in text] == []


def test_equal_ids_stay_equal_and_what_conditions_read_stays() -> None:
    steps = recorded(START - HOUR)["steps"]
    given = recorded(START - HOUR)["given"][0]
    events = [step["event"] for step in steps if "event" in step]

    assert [one["properties"]["workspace"] for one in events if one["type"] == "custom"] == [
        *("workspace_1", "workspace_2", "workspace_1", "workspace_1"),
    ]
    assert [step["at"] for step in steps if "event" in step] == ["+1h", "+2h", "+1d1h250ms", "+2d1h", "+9d1h"]
    assert (events[1]["order"], events[1]["item"]) == ("order_1", "mug")
    assert given == {
        "user": "user_1",
        "traits": {
            "email": "person1@example.org",
            "phone": "+49309010001",
            "firstName": "Ada",
            "timezone": "Europe/Berlin",
            "staff": False,
            "address": {"country": "DE"},
        },
        "consent": {"marketing.email": "granted"},
        "known_for": "82800s",
    }


def test_the_arm_and_the_control_group_are_those_of_the_user() -> None:
    journey = trial().journeys[0]
    tone: Any = journey.steps[3]
    step = tone.cases[1].steps[0]

    assert recorded()["world"] == {
        "arms": {"trial_tone": step.arms[arm_of("trial_tone", step.arms, USER)].name},
        "holdout": is_held_out(journey, USER),
    }


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        ({"end": -2 * DAY}, "has no events of the user"),
        ({"end": -HOUR}, "enters no journey"),
        ({"of": "trail"}, "there is no journey trail; journeys: trial"),
    ],
)
def test_without_something_to_record_there_is_an_error(wish: dict[str, Any], problem: str) -> None:
    with pytest.raises(NothingRecorded, match=problem):
        recorded(**wish)
