"""``perennial check`` reports mistakes in journeys with their line, and lists the journeys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.conditions.knowledge import Sightings
from models.events import Event
from stream.installation.check import findings
from stream.installation.condition_findings import findings as condition_findings
from stream.installation.condition_findings import known
from stream.installation.findings import Finding
from stream.settings.loading import load
from stream.settings.rules import read_configuration
from tests.support.event_logs import START

STEPS = """\
      - {id: hello, send: hello}
"""
JOURNEYS = """\
version: 1
segments:
  - name: staff
    when: {trait: staff, is: true}
  - name: silent
    when: {all: [{absent: purchase, for: 30d}, {trait: plan, is: pro}]}
journeys:
  - name: trial
    enter: {on: %s, %s}
    exit: [{after: 30d, as: late}, %s]
    steps:
"""


def write(folder: Path, text: str, body: str = "text") -> Path:
    template = folder / "templates" / "hello"
    template.mkdir(parents=True, exist_ok=True)
    (template / "text.liquid").write_text(body)
    (template / "subject.liquid").write_text("subject")
    file = folder / "perennial.yaml"
    file.write_text(text)
    return file


def journey(
    *, on: str = "{event: Trial Started}", more: str = "again: never", end: str = "{when: {segment: staff}, as: staff}"
) -> str:
    return JOURNEYS % (on, more, end) + STEPS


def found_in(folder: Path, text: str, body: str = "text") -> list[Finding]:
    return list(findings(load(write(folder, text, body), {}, {}), offline=True))


def says(found: list[Finding], name: str, result: str) -> list[str]:
    return [one.says for one in found if (one.name, one.result) == (name, result)]


def test_each_journey_has_a_line(tmp_path: Path) -> None:
    found = found_in(tmp_path, journey())

    assert says(found, "journeys", "ok") == [
        "trial: enters at the event 'Trial Started'; 1 step, 1 message; ends within 30d"
    ]
    assert says(found, "journeys", "failed") == []


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        (journey(more="if: {segment: staf}"), "9: journeys[0].enter.if", "no segment 'staf' (did you mean staff?)"),
        (journey(on="{segment: staf}"), "9: journeys[0].enter.on.segment", "no segment 'staf' (did you mean staff?)"),
        (journey(more="if: {score: chrn, at_least: 0.5}"), "9: journeys[0].enter.if", "no score 'chrn'"),
        (
            journey(end="{when: {mark: x, is: 1}, as: x}"),
            "10: journeys[0].exit[1].when",
            "no journey sets the mark 'x'",
        ),
        (
            journey(end="{when: {all: [{segment: staff}, {not: {segment: staff}}]}, as: x}"),
            "10: journeys[0].exit[1].when.all[1].not",
            "it contradicts journeys[0].exit[1].when.all[0]",
        ),
        (
            journey() + "      - {id: b, branch: [{if: {feature: seets, at_least: 1}, do: [{id: w, wait: 1d}]}]}\n",
            "13: journeys[0].steps[1].branch[0].if",
            "no feature 'seets'",
        ),
        (
            journey() + "      - id: r\n        repeat: {every: 1d, times: 2, until: {segment: gone}}\n"
            "        do: [{id: w, wait: 1h}]\n",
            "14: journeys[0].steps[1].repeat.until",
            "no segment 'gone'",
        ),
        (
            journey() + "      - id: w\n        wait_for: {event: Order Completed, at_most: 1d}\n",
            "14: journeys[0].steps[1].wait_for.event",
            "are read as purchase",
        ),
    ],
)
def test_a_mistake_in_any_part_of_a_journey_fails_with_its_line(
    tmp_path: Path, text: str, path: str, problem: str
) -> None:
    (failed,) = says(found_in(tmp_path, text), "journeys", "failed")

    assert f"{tmp_path}/perennial.yaml:{path}: " in failed
    assert problem in failed


def test_names_are_compared_with_the_events_of_the_log(tmp_path: Path) -> None:
    more = "key: workspce, keep: [plan], if: {event: Trial Started, where: {seats: {at_least: 3}}, within: 1d}"
    text = journey(more=more, end="{on: {event: Subscribd}, as: done}")
    settings = load(write(tmp_path, text), {}, {})
    properties = {"workspace": "w", "plan": "pro", "seats": "3"}
    events = [
        Event(id=name, user="u", type="custom", at=START, name=name, properties=properties)
        for name in ("Trial Started", "Subscribed")
    ]
    seen = Sightings(events)
    configuration = read_configuration(settings)
    knowledge = replace(known(configuration), source="the newest 2 events", events=seen.events, traits=seen.traits)

    notes = says(list(condition_findings(configuration, knowledge, settings.given)), "journeys", "note")

    assert [one.partition("yaml:")[2] for one in notes] == [
        "10: journeys[0].exit[1].on.event: the newest 2 events have no event 'Subscribd' (did you mean Subscribed?)",
        (
            "9: journeys[0].enter.key: the newest 2 events have no property 'workspce' of the event 'Trial Started' "
            "(did you mean workspace?)"
        ),
        "9: journeys[0].enter.if.where.seats: at_least never holds: the property 'seats' of 'Trial Started' is a text",
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (journey(on="{segment: silent}"), "6: segments[1].when.all[0]"),
        (journey(more="if: {absent: purchase, for: 30d}"), "9: journeys[0].enter.if"),
        (journey(more="if: {segment: silent}"), "6: segments[1].when.all[0]"),
    ],
)
def test_an_absence_without_an_upper_bound_is_noted(tmp_path: Path, text: str, path: str) -> None:
    (note,) = says(found_in(tmp_path, text), "journeys", "note")

    assert f"yaml:{path}: users enter the journey trial by an absence without an upper bound" in note
    assert "`not: {absent: purchase, for: 60d}`" in note


@pytest.mark.parametrize(
    "bound",
    [
        "{not: {absent: purchase, for: 60d}}",
        "{event: purchase, last: {at_most: 60d}}",
        "{event: purchase, times: {at_least: 1}, within: 60d}",
    ],
)
def test_a_bound_beside_the_absence_is_seen(tmp_path: Path, bound: str) -> None:
    text = journey(more=f"if: {{all: [{{absent: purchase, for: 30d}}, {bound}]}}")

    assert says(found_in(tmp_path, text), "journeys", "note") == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("\n{{ entry.pln }}", "text.liquid:2: runs of the journey trial keep no property 'pln' (did you mean plan?)"),
        ("{{ mark.begun }}", "text.liquid:1: no journey sets the mark 'begun'; marks: none"),
        ("{{ entry.plan | divided_by: 0 }}", "text.liquid:1"),
    ],
)
def test_templates_of_steps_are_rendered_with_what_a_run_has(tmp_path: Path, body: str, problem: str) -> None:
    (failed,) = says(found_in(tmp_path, journey(more="keep: [plan]"), body), "templates", "failed")

    assert problem in failed
    assert (
        says(found_in(tmp_path, journey(more="keep: [plan]"), "{{ entry.plan }} {{ now }}"), "templates", "failed")
        == []
    )
