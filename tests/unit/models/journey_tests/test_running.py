"""A test of a journey passes on the journey, and fails on each journey that is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.engage import caps
from models.errors import InvalidConfiguration
from models.journey_tests.coverage import unreached
from models.journey_tests.parsing import parse_test, variants_of
from models.journey_tests.running import play_test
from tests.support.trial_journey import TEMPLATES, example_of, play, trial

EXAMPLE = example_of("journey_tests.md")
ADA: dict[str, Any] = {
    "user": "ada",
    "traits": {"email": "ada@example.org", "timezone": "Europe/Berlin"},
    "consent": {"email": "granted"},
}
START = "2026-03-02T10:00:00+01:00"


def custom(at: str, name: str, user: str = "ada", **properties: Any) -> dict[str, Any]:
    return {"at": at, "event": {"type": "custom", "user": user, "name": name, "properties": properties}}


def expect(**wanted: Any) -> dict[str, Any]:
    return {"expect": wanted}


def written(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"of": "trial", "start": START, "given": [ADA], "steps": list(steps), **more}


BEGIN = custom("+0s", "Trial Started", workspace="w1", plan="pro")
DONE = custom("+2h", "Project Created", workspace="w1")
ONBOARDED = written(
    *(BEGIN, expect(message="trial/hello"), DONE, expect(mark={"onboarded": True}, run={"in": "pause"})),
    *(custom(f"+{hours}h", "Report Viewed", number=hours) for hours in (3, 4, 5)),
    {"pass": "3d"},
    expect(message="trial_tips", at="+2d2h"),
    expect(nothing_else=True, ended="completed", converted=0),
)
SUBSCRIBED = written(
    BEGIN,
    expect(messages=["trial_hello"], entered=1),
    custom("+1h", "Trial Started", workspace="w1", plan="pro"),
    expect(entered=1, refused="active"),
    custom("+1d", "Subscribed", workspace="w1", price=9),
    expect(ended="converted", converted=1, run="none"),
    {"pass": "30d"},
    expect(nothing_else=True),
)
STAFF = written(
    {"at": "+0s", "event": {"type": "identify", "user": "ada", "traits": {"staff": True}}},
    {**BEGIN, "at": "+1s"},
    expect(segment="staff", entered=0, run="none", nothing_else=True),
)
TESTS = [EXAMPLE, ONBOARDED, SUBSCRIBED, STAFF]


def test_the_tests_of_the_example_pass_and_reach_all_of_its_steps_and_arms() -> None:
    configuration, reached = trial(), set[Any]()
    for one in TESTS:
        assert play(one, configuration) == []
        test = parse_test(one, configuration)
        for variant in variants_of(test):
            reached |= play_test(test, configuration, variant).reached

    assert list(unreached(configuration.journeys[0], reached)) == []


def test_steps_and_arms_that_no_test_reaches_are_named() -> None:
    configuration = trial()
    test = parse_test(ONBOARDED, configuration)
    (variant,) = variants_of(test)

    found = list(unreached(configuration.journeys[0], play_test(test, configuration, variant).reached))

    assert found == [
        *("step morning", "step nudge", "step tone", "arm short of tone", "arm long of tone", "step short"),
        *("step long", "step hint"),
    ]


Journey = dict[str, Any]


def shorter_wait(journey: Journey) -> None:
    journey["steps"][2]["wait"] = "1d"


def other_time(journey: Journey) -> None:
    journey["steps"][1]["otherwise"][0]["wait_until"]["time"] = "09:01"


def any_workspace(journey: Journey) -> None:
    del journey["steps"][1]["wait_for"]["where"]


def other_template(journey: Journey) -> None:
    journey["steps"][0]["send"] = "trial_nudge"


def fewer_rounds(journey: Journey) -> None:
    journey["steps"][4]["repeat"]["times"] = 2


def lower_bound(journey: Journey) -> None:
    journey["steps"][3]["branch"][0]["if"]["times"]["at_least"] = 4


def no_exit(journey: Journey) -> None:
    del journey["exit"][0]


def everyone(journey: Journey) -> None:
    del journey["enter"]["if"]


def no_mark(journey: Journey) -> None:
    del journey["steps"][1]["then"]


def short_goal(journey: Journey) -> None:
    journey["goal"]["within"] = "1h"


def restarted(journey: Journey) -> None:
    journey["enter"]["meanwhile"] = "restart"


@pytest.mark.parametrize(
    "change",
    [
        *(shorter_wait, other_time, any_workspace, other_template, fewer_rounds, lower_bound, no_exit, everyone),
        *(no_mark, short_goal, restarted),
    ],
)
def test_a_broken_journey_fails_one_of_its_tests(change: Callable[[Journey], None]) -> None:
    sections = example_of("journeys.md")
    change(sections["journeys"][0])
    if change is no_mark:  # the test names the mark, so some journey has to set it
        end = [{"after": "1d", "as": "late"}]
        sections["journeys"].append(
            {"name": "b", "enter": {"on": {"event": "X"}}, "exit": end, "steps": [{"set": {"onboarded": True}}]}
        )
    configuration = parse(sections, TEMPLATES)

    assert [failure for one in TESTS for failure in play(one, configuration)] != []


def test_a_failure_has_its_place_what_came_and_the_timeline_of_the_user() -> None:
    (failure,) = play(written(BEGIN, expect(message="trial_hello", subject="Welcome")), trial())

    assert failure.path == "steps[1].expect.subject"
    assert (failure.expected, failure.came) == ("'Welcome'", "'Welcome to pro'")
    assert failure.timeline[-1] == (
        "2026-03-02T09:00:00Z message trial/hello: trial_hello to ada@example.org over email 'Welcome to pro'"
    )


@pytest.mark.parametrize(
    ("wanted", "path", "came"),
    [
        ({"message": "trial_tips"}, "message", "trial_hello"),
        ({"message": "trial_hello", "at": "+1s"}, "at", "2026-03-02T09:00:00Z"),
        ({"message": "trial_hello", "by": "-1s"}, "by", "2026-03-02T09:00:00Z"),
        ({"message": "trial_hello", "channel": "sms"}, "channel", "email"),
        ({"message": "trial_hello", "text": "Goodbye"}, "text", "'Hello. pro\\n\\n--"),
        ({"messages": []}, None, None),
        ({"messages": [], "nothing_else": True}, "messages", "[trial_hello]"),
        ({"messages": ["trial_tips"]}, "messages", "[trial_hello]"),
        ({"nothing_else": True}, "nothing_else", "trial_hello"),
        ({"run": "none"}, "run", "in setup until 2026-03-05T09:00:00Z"),
        ({"run": {"in": "pause"}}, "run", "in setup until 2026-03-05T09:00:00Z"),
        ({"run": {"in": "setup", "until": "+2d"}}, "run", "in setup until 2026-03-05T09:00:00Z"),
        ({"ended": "completed"}, "ended", "no run has ended"),
        ({"refused": "active"}, "refused", "no entry was refused"),
        ({"entered": 2}, "entered", "1"),
        ({"converted": 1}, "converted", "0"),
        ({"dropped": {"message": "trial_hello", "reason": "capped"}}, "dropped", "it was not dropped"),
        ({"segment": "staff"}, "is", "false"),
        ({"segment": "staff", "is": "unknown"}, "is", "false"),
        ({"segment": "staff", "is": False, "because": "trait plan"}, "because", "trait staff is True"),
        ({"mark": {"onboarded": True}}, "mark.onboarded", "it is not set"),
    ],
)
def test_each_expectation_can_fail(wanted: dict[str, Any], path: str | None, came: str | None) -> None:
    found = play(written(BEGIN, {"expect": wanted}), trial())

    if path is None:
        assert found == []
        return
    assert found[0].path == f"steps[1].expect.{path}"
    assert found[0].came.startswith(str(came))


def test_the_answers_of_a_provider_are_retried_and_given_up_by_the_queue_of_production() -> None:
    later = written(
        *(BEGIN, {"at": "+1m"}, expect(message="trial_hello", at="+45s")),
        world={"email": [{"answer": 451, "retry_after": "45s"}]},
    )
    refused = written(
        *(BEGIN, expect(dropped={"message": "trial_hello", "reason": "rejected"}, nothing_else=True)),
        world={"email": ["refused"]},
    )

    assert play(later, trial()) == []
    assert play(refused, trial()) == []


def test_quiet_hours_caps_and_consent_are_those_of_the_configuration() -> None:
    configuration = trial(
        quiet_hours={"from": "21:00", "to": "08:00"},
        caps=[{"messages": 1, "within": "7d"}],
    )
    night = written(
        custom("2026-03-02T22:00", "Trial Started", workspace="w1", plan="pro"),
        expect(nothing_else=True),
        {"pass": "11h"},
        expect(message="trial_hello", at="2026-03-03T08:00"),
        {"pass": "5d"},
        expect(dropped={"message": "trial_nudge", "reason": "capped"}),
    )
    withdrawn = {"user": "bob", "traits": {"email": "bob@example.org"}, "consent": {"email": "withdrawn"}}
    silent = written(
        custom("+0s", "Trial Started", "bob", workspace="w1"),
        expect(dropped={"message": "trial_hello", "reason": "no_consent"}, nothing_else=True),
        given=[withdrawn],
    )

    assert play(night, configuration) == []
    assert play(silent, configuration) == []


@pytest.mark.parametrize(
    ("zone", "at"),
    [
        ("Europe/Berlin", "2026-03-03T09:00+01:00"),
        ("Asia/Tokyo", "2026-03-03T09:00+09:00"),
        ("America/New_York", "2026-03-02T09:00-05:00"),
    ],
)
def test_members_of_a_segment_enter_at_the_time_of_day_of_their_zone(zone: str, at: str) -> None:
    daily = {
        "name": "daily",
        "enter": {"on": {"every": {"time": "09:00"}, "of": "staff"}, "again": "always"},
        "exit": [{"after": "1d", "as": "late"}],
        "steps": [{"id": "mail", "send": "trial_hello"}],
    }
    member = {**ADA, "traits": {**ADA["traits"], "timezone": zone, "staff": True}}
    test = written(
        expect(nothing_else=True),
        {"pass": "1d"},
        expect(message="daily/mail", at=at),
        of="daily",
        given=[member],
    )

    assert play(test, trial(journeys=[daily])) == []


def test_the_risk_and_the_control_group_are_what_the_world_says() -> None:
    steps = [{"id": "mail", "send": "trial_hello"}]
    end = [{"after": "1d", "as": "late"}]
    journeys = [
        {
            "name": "risky",
            "enter": {"on": {"signal": "churn_risk", "crosses": 0.5}},
            "exit": end,
            "holdout": "50%",
            "steps": steps,
        }
    ]
    configuration = parse({"journeys": journeys}, TEMPLATES)
    view = {"at": "+1h", "event": {"type": "page_view", "user": "ada"}}

    def case(risk: float, *, holdout: bool, **wanted: Any) -> dict[str, Any]:
        world = {"scores": {"churn": risk}, "holdout": holdout}
        return {**written(view, expect(**wanted), world=world), "of": "risky"}

    assert play(case(0.7, holdout=False, entered=1, message="trial_hello"), configuration) == []
    assert play(case(0.7, holdout=True, entered=1, nothing_else=True), configuration) == []
    assert play(case(0.2, holdout=False, entered=0), configuration) == []


def test_a_matrix_of_time_zones_keeps_the_times_of_the_users_clock() -> None:
    test = written(
        BEGIN,
        {"pass": "9d"},
        expect(message="trial_hello"),
        expect(message="trial_nudge", at="2026-03-05T09:00"),
        matrix={"timezone": ["Europe/Berlin", "America/New_York", "UTC"]},
    )
    # The wait ends at 10:00 in Berlin on the 5th. There and in London, the next 09:00 is on the 6th.
    found = play(test, trial())

    assert [(failure.variant, failure.came) for failure in found] == [
        ("timezone Europe/Berlin", "2026-03-06T08:00:00Z"),
    ]


def test_an_invariant_is_computed_without_the_planner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planner that ignores caps is found, although no expectation names them."""
    monkeypatch.setattr(caps, "reached", lambda *_: None)
    configuration = trial(caps=[{"messages": 1, "within": "7d"}])

    found = play(written(BEGIN, {"pass": "4d"}, expect(entered=1)), configuration)

    assert [(failure.path, failure.expected) for failure in found] == [("always", "never_above_caps")]
    assert "2 messages within 7d over all channels; the cap is 1" in found[0].came


def test_a_message_needs_the_consent_to_its_purpose() -> None:
    sections = example_of("journeys.md")
    sections["journeys"][0]["purpose"] = "product_news"
    configuration = parse({**sections, "consent": {"purposes": ["product_news"]}}, TEMPLATES)
    granted = {**ADA, "consent": {"product_news.email": "granted"}}

    assert play(written(BEGIN, expect(message="trial_hello"), given=[granted]), configuration) == []
    dropped = {"message": "trial_hello", "reason": "no_consent"}
    assert play(written(BEGIN, expect(dropped=dropped, nothing_else=True)), configuration) == []


def test_an_event_that_the_door_would_refuse_is_refused_with_its_place() -> None:
    test = written({"at": "+0s", "event": {"type": "purchase", "user": "ada", "amout": 3}}, expect(entered=0))

    with pytest.raises(InvalidConfiguration) as caught:
        play(test, trial())

    assert caught.value.path.startswith("steps[0].event")
    assert caught.value.found == "a field amout"


def test_a_visitor_who_logs_in_takes_the_run_along() -> None:
    templates = {"hi": Template(subject="Hi", text="T.")}
    journey = {
        "name": "cart",
        "enter": {"on": {"event": "cart_add"}},
        "exit": [{"after": "9d", "as": "late"}],
        "steps": [{"id": "pause", "wait": "1h"}, {"id": "mail", "send": "hi"}],
    }
    configuration = parse({"journeys": [journey]}, templates)
    test = {
        **written(
            {"at": "+0s", "event": {"type": "cart_add", "user": "anonymous:v1", "item": "mug", "price": 3}},
            {"at": "+10m", "event": {"type": "identify", "user": "ada", "anonymous": "v1"}},
            {"pass": "1h"},
            expect(message="hi", to="ada", at="+1h"),
        ),
        "of": "cart",
    }

    assert play(test, configuration) == []
