"""``perennial recommend USER`` shows the worker's answer."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from models.recommend.new_items import NEW
from stream.cli import run
from tests.support.answering import worker

ITEMS = [
    {"item": "mug", "score": 0.91234, "why": "because of pot", "title": "[bold]Mug"},
    {"item": "pan", "score": 0.5, "why": "popular"},
]


@pytest.fixture
def settings(tmp_path: Path) -> Callable[[int], str]:
    def write(port: int) -> str:
        file = tmp_path / "perennial.yaml"
        file.write_text(f"version: 1\nworker: {{port: {port}}}\n")
        return str(file)

    return write


def test_items_are_shown_with_score_reason_and_title_as_text(
    settings: Callable[[int], str], capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    with worker({"user": "a/b", "known": True, "version": 3, "items": ITEMS}, asked) as port:
        code = run(["recommend", "a/b", "-k", "2", "--config", settings(port)])
    out = capsys.readouterr().out

    assert code == 0
    assert asked == ["/v1/users/a%2Fb/recommendations?k=2"]
    assert "mug   0.912  because of pot  [bold]Mug" in out


def test_the_answer_of_another_installations_worker_is_not_used(
    settings: Callable[[int], str], capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {"user": "u", "known": True, "version": 3, "items": ITEMS}
    with worker(answer, [], identity="cluster/staging.") as port:
        code = run(["recommend", "u", "--config", settings(port)])
    shown = capsys.readouterr()

    assert (code, shown.out) == (2, "")
    assert f"a worker of another installation answers at http://127.0.0.1:{port} (cluster/staging.)" in shown.err


def test_json_is_the_answer_of_the_worker(settings: Callable[[int], str], capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"user": "u", "known": True, "version": 3, "items": ITEMS}
    with worker(answer, []) as port:
        assert run(["recommend", "u", "--json", "--config", settings(port)]) == 0

    assert orjson.loads(capsys.readouterr().out) == answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"known": True, "version": 0}, "no recommender is in use yet; the retrainer trains one"),
        ({"known": False, "version": 0}, "no recommender is in use yet"),
        ({"known": True, "version": 0, "refused": 4}, "the worker could not load version 4 of the recommender"),
        ({"known": True, "version": 1, "empty": "all_touched"}, "u has interacted with every item that is for sale"),
        (
            {"known": True, "version": 1, "empty": "all_known_touched"},
            "u has interacted with every item that",
        ),
        ({"known": False, "version": 1, "empty": "nothing_for_sale"}, "nothing is for sale"),
        ({"known": True, "version": 1}, "there is nothing to recommend"),
    ],
)
def test_an_empty_answer_is_explained(
    settings: Callable[[int], str], capsys: pytest.CaptureFixture[str], answer: dict[str, Any], said: str
) -> None:
    with worker({"user": "u", "items": [], **answer}, []) as port:
        assert run(["recommend", "u", "--config", settings(port)]) == 0

    assert said in capsys.readouterr().out


def test_the_answer_says_that_a_user_is_unknown(
    settings: Callable[[int], str], capsys: pytest.CaptureFixture[str]
) -> None:
    with worker({"user": "u", "known": False, "version": 3, "items": ITEMS}, []) as port:
        assert run(["recommend", "u", "--config", settings(port)]) == 0

    assert "'u' is unknown; these items are popular\n" in capsys.readouterr().out


def test_new_items_for_an_unknown_user_are_not_called_popular(
    settings: Callable[[int], str], capsys: pytest.CaptureFixture[str]
) -> None:
    items = [*ITEMS, {"item": "vase", "score": 0.5, "why": NEW}]
    with worker({"user": "u", "known": False, "version": 3, "items": items}, []) as port:
        assert run(["recommend", "u", "--config", settings(port)]) == 0

    assert "these items are popular or new\n" in capsys.readouterr().out


def test_the_error_without_a_worker_says_how_to_start_one(
    settings: Callable[[int], str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    code = run(["recommend", "u", "--config", settings(port)])

    assert code == 2
    assert "perennial up" in capsys.readouterr().err
