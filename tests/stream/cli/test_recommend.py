"""``perennial recommend USER`` shows what the worker answers."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from stream.cli import run

ITEMS = [
    {"item": "mug", "score": 0.91234, "why": "because of pot", "title": "[bold]Mug"},
    {"item": "pan", "score": 0.5, "why": "popular"},
]


@contextmanager
def worker(answer: Any, asked: list[str]) -> Iterator[int]:
    """Stand in for a worker's lookups in a thread; yields its port."""

    async def respond(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.json_response(answer)

    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_get("/v1/users/{user}/recommendations", respond)
    runner = web.AppRunner(app)
    listening = socket.create_server(("127.0.0.1", 0))
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.SockSite(runner, listening).start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


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


def test_json_is_what_the_worker_said(settings: Callable[[int], str], capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"user": "u", "known": True, "version": 3, "items": ITEMS}
    with worker(answer, []) as port:
        assert run(["recommend", "u", "--json", "--config", settings(port)]) == 0

    assert orjson.loads(capsys.readouterr().out) == answer


@pytest.mark.parametrize(
    ("version", "said"), [(0, "no model has been trained yet"), (1, "nothing is for sale that this user")]
)
def test_an_empty_answer_says_why(
    settings: Callable[[int], str], capsys: pytest.CaptureFixture[str], version: int, said: str
) -> None:
    with worker({"user": "u", "known": False, "version": version, "items": []}, []) as port:
        assert run(["recommend", "u", "--config", settings(port)]) == 0

    assert said in capsys.readouterr().out


def test_without_a_worker_the_way_to_start_one_is_named(
    settings: Callable[[int], str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    code = run(["recommend", "u", "--config", settings(port)])

    assert code == 2
    assert "perennial up" in capsys.readouterr().err
