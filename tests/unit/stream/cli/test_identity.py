"""``perennial identity`` shows links and splits, and says what a split will change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.events import Event
from models.profile.state import Customer, Facts
from stream.cli import run
from stream.cli.identity_split import SplitPreview, as_json, show
from stream.installation.splitting import NotAnAnonymousId, Splitting
from stream.lookup.server import LookupServer
from stream.settings.loading import load
from tests.support.answering import IDENTITY, serving
from tests.support.event_logs import START
from tests.support.persons import Persons
from tests.support.splitting import split

VISITOR, USER = "anonymous:a1", "ada"
PREVIEW = SplitPreview(
    id="s1",
    user=USER,
    anonymous=VISITOR,
    until="2026-03-04T10:31:12.250Z",
    to=VISITOR,
    events={"product_view": 1_200, "purchase": 1},
    orders=1,
    spent={"EUR": 12.5},
    left=["clickers", "buyers"],
    entered=["silent"],
    stages=("loyal", "new"),
    messages=2,
)


@pytest.fixture
def persons() -> Persons:
    """A visitor who has logged in, and does something else in another tab."""
    found = Persons(3)
    events: list[tuple[str, Any, dict[str, Any]]] = [
        (VISITOR, "click", {"item": "s1"}),
        (USER, "identify", {"anonymous": VISITOR}),
        (VISITOR, "click", {"item": "s2"}),
    ]
    for number, (user, kind, more) in enumerate(events):
        found.tell(Event(id=f"m{number}", user=user, type=kind, at=START + number * 1_000, **more))
        found.settle()
    return found


def shown(persons: Persons, tmp_path: Path, user: str, *more: str) -> int:
    """Let the command ask a worker that has the states."""
    server = LookupServer(
        restored=lambda place: persons.states[place],
        owns=lambda _: True,
        standing=dict,
        partitions=3,
        identity=IDENTITY,
    )
    with serving(server) as port:
        file = tmp_path / "perennial.yaml"
        file.write_text(f"version: 1\nworker: {{port: {port}}}\nkafka: {{partitions: 3}}\n")
        return run(["identity", "show", user, "--config", str(file), *more])


def test_a_link_is_shown_before_and_after_it_was_split(
    persons: Persons, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(persons, tmp_path, USER) == 0
    assert "anonymous:a1  2026-01-01 00:00  merged   2026-01-01 00:00  1       1" in capsys.readouterr().out
    assert shown(persons, tmp_path, VISITOR) == 0
    said = "anonymous:a1 belongs to ada since 2026-01-01 00:00; 1 event forwarded\n"
    assert capsys.readouterr().out == said

    split(persons, USER, VISITOR, "s9")

    assert shown(persons, tmp_path, USER) == 0
    out = capsys.readouterr().out
    assert "anonymous:a1  2026-01-01 00:00  split " in out
    assert "split s9 from anonymous:a1 at 2026-01-01 00:00; 2 events went back" in out
    assert shown(persons, tmp_path, VISITOR) == 0
    out = capsys.readouterr().out
    assert out == "anonymous:a1 has no other id\nsplit s9 from ada at 2026-01-01 00:00; 2 events went back\n"
    assert shown(persons, tmp_path, USER, "--json") == 0
    (link,) = json.loads(capsys.readouterr().out)["links"]
    assert link["is_split"] is True
    assert link["split"] == {
        "id": "s9",
        "at": "2026-01-01T00:00:02Z",
        "until": "2026-01-01T00:00:02Z",
        "events": 2,
    }


def test_the_changes_are_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    show(PREVIEW, keep_past=False)

    assert capsys.readouterr().out.splitlines() == [
        "1,201 events go back to anonymous:a1: 1,200 product_view, 1 purchase",
        "with them 1 order: 12.50 EUR",
        "ada leaves the segments clickers, buyers",
        "ada enters the segments silent",
        "the stage of ada changes from loyal to new",
        "2 sent messages stay with ada",
        "logins up to 2026-03-04 10:31 UTC do not link ada and anonymous:a1 any more",
    ]


def test_events_that_go_to_another_user_and_past_events_that_stay_are_said_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(PREVIEW._replace(to="bob"), keep_past=False)
    show(PREVIEW, keep_past=True)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1,201 events go on to bob: 1,200 product_view, 1 purchase"
    assert "all past events stay with ada; later ones of anonymous:a1 do not go there any more" in lines


def test_the_json_says_whether_it_is_done() -> None:
    profiles = {USER: Customer(Facts(events={"click": 3})), VISITOR: Customer()}

    before, after = as_json(PREVIEW, None), as_json(PREVIEW, profiles)

    assert (before["is_done"], before["events_now"]) == (False, None)
    assert (after["is_done"], after["events_now"]) == (True, {USER: 3, VISITOR: 0})
    assert after["stages"] == {"before": "loyal", "after": "new"}


def test_the_known_user_is_named_first_and_the_prefix_may_be_left_out() -> None:
    settings = load(None, {}, record=False)
    assert Splitting(settings, "ada", "a1", None).pair == ("ada", "anonymous:a1")  # type: ignore[arg-type]
    pair = Splitting(settings, "test:ada", "a1", None).pair  # type: ignore[arg-type]
    assert pair == ("test:ada", "test:anonymous:a1")
    with pytest.raises(NotAnAnonymousId, match="name the known user first"):
        Splitting(settings, "anonymous:a1", "ada", None)  # type: ignore[arg-type]
