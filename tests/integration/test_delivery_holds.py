"""A worker with settings that ``perennial check`` refuses still runs: it names the reason, sends and loses nothing."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from models.delivery.messages import encode_message
from stream.cluster import topics
from stream.installation.applying import apply
from stream.installation.commands import perennial
from stream.settings.loading import load
from tests.support.brokers import Cluster, free_ports
from tests.support.forwarding import forwarding
from tests.support.letters import letters, text_message
from tests.support.mail import FakeMailServer, serving
from tests.support.processes import await_true
from tests.support.topic_reading import write

MESSAGES = 5
RULE = "rules: [{name: win_back, when: {cart_left: {for: 1h}}, channels: [CHANNELS]}]\n"


@pytest.fixture
def server(unused_tcp_port: int) -> Iterator[FakeMailServer]:
    """A mail server."""
    with serving(FakeMailServer(), unused_tcp_port) as served:
        yield served


@pytest.fixture
def home(unused_tcp_port: int, cluster: Cluster, tmp_path: Path) -> Path:
    """A folder of settings for live e-mail that lack ``http.public_url``, with an empty log."""
    place = tmp_path / "templates" / "win_back"
    place.mkdir(parents=True)
    for part in ("text", "subject", "sms"):
        (place / f"{part}.liquid").write_text("Hello")
    topics.create(cluster.connection, 4)
    settle(tmp_path, cluster, unused_tcp_port, channels="email")
    return tmp_path


def settle(home: Path, cluster: Cluster, smtp: int, *, channels: str, more: str = "") -> None:
    """Write the settings, and put the rules into use."""
    connection = cluster.connection
    embedded = str(not connection.transactions).lower()
    (home / "perennial.yaml").write_text(
        f"version: 1\nkafka: {{servers: '{connection.servers}', prefix: {connection.prefix}, embedded: {embedded}, "
        f"partitions: 4}}\nmetrics: {{fold: 0, deliver: 0, learn: 0, worker: {free_ports(1)[0]}}}\n"
        f"delivery: {{mode: live, smtp: {{host: 127.0.0.1, port: {smtp}, from: shop@shop.example, tls: none}}}}\n"
        + more
        + RULE.replace("CHANNELS", channels)
    )
    apply(load(home / "perennial.yaml", {}, {}))


@contextmanager
def working(home: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """Run a worker that only delivers, and yield a function that returns ``ready`` and the report of its process."""
    port = load(home / "perennial.yaml", {}, {}).sections.metrics.worker

    def overview() -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
                found = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            found = json.loads(error.read())
        except OSError:
            return {"ready": False, "processes": [{}]}
        process: dict[str, Any] = found["processes"][0]
        return {"ready": found["ready"], **process}

    with (
        (home / "log").open("ab") as log,
        subprocess.Popen(
            perennial("worker", "--processes", "0", "--learn", "0"),
            env={**os.environ, "PERENNIAL_CONFIG": str(home / "perennial.yaml")},
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            yield overview
        except BaseException:
            print((home / "log").read_text(errors="replace"))
            raise
        finally:
            process.terminate()
            process.wait(20)


def waiting(found: dict[str, Any], channel: str) -> int:
    return int(found.get("providers", {}).get(channel, {}).get("waiting", -1))


@pytest.mark.slow
def test_live_mail_waits_without_a_public_url_and_is_sent_once_after_a_restart_with_a_public_url(
    cluster: Cluster, home: Path, server: FakeMailServer, unused_tcp_port: int
) -> None:
    records = [(m.user.encode(), encode_message(m)) for m in letters(MESSAGES)]
    asyncio.run(write(cluster.connection, "messages.email", records))

    with working(home) as overview:
        await_true(lambda: waiting(overview(), "email") == MESSAGES, 60)
        await_true(lambda: overview().get("held", {}).keys() == {"delivery.public_url"}, 20)
        held = overview()
    sent_meanwhile = server.recipients
    settle(home, cluster, unused_tcp_port, channels="email", more="http: {public_url: 'https://shop.example'}\n")
    with working(home) as overview:
        await_true(lambda: overview()["ready"] and len(server.received) >= MESSAGES, 60)
        after = overview()

    assert (held["ready"], held["healthy"]) == (False, True)
    assert held["held"]["delivery.public_url"].startswith("http.public_url is not set: unsubscribe links would begin")
    assert (home / "log").read_text().count("messages are held: http.public_url is not set") == 1
    assert sent_meanwhile == Counter()
    assert after["held"] == {}
    assert server.recipients == Counter({f"u{number}@example.com": 1 for number in range(MESSAGES)})


@pytest.mark.slow
def test_only_a_channel_without_provider_waits_until_the_rules_no_longer_need_it(
    cluster: Cluster, home: Path, server: FakeMailServer, unused_tcp_port: int
) -> None:
    address = "http: {public_url: 'https://shop.example'}\n"
    settle(home, cluster, unused_tcp_port, channels="email, sms", more=address)
    [mail], sms = letters(1), text_message(at=letters(1)[0].at, expires=letters(1)[0].expires)
    asyncio.run(write(cluster.connection, "messages.email", [(mail.user.encode(), encode_message(mail))]))
    asyncio.run(write(cluster.connection, "messages.sms", [(sms.user.encode(), encode_message(sms))]))

    with working(home) as overview:
        await_true(lambda: waiting(overview(), "sms") == 1 and len(server.received) == 1, 60)
        held = overview()
        text = (home / "perennial.yaml").read_text()
        (home / "perennial.yaml").write_text(text.replace("email, sms", "email"))
        draft = overview()
        apply(load(home / "perennial.yaml", {}, {}))
        await_true(lambda: overview()["ready"], 20)

    assert held["held"] == {"delivery.provider.sms": "mode live needs delivery.twilio (for sms)"}
    assert draft["held"] == held["held"], "the draft in the file must not change the reasons"


@contextmanager
def starting(
    command: tuple[str, ...], environment: dict[str, str], folder: Path
) -> Iterator[Callable[[str], Awaitable[None]]]:
    """Run a command, and yield a function that waits until the process has logged some words."""
    output = folder / "log"
    with (
        output.open("wb") as log,
        subprocess.Popen(
            perennial(*command), env={**os.environ, **environment}, cwd=folder, stdout=log, stderr=log
        ) as process,
    ):

        async def says(words: str) -> None:
            def is_said() -> bool:
                text = output.read_text(errors="replace")
                assert words in text or process.poll() is None, f"the process has ended: {text}"
                return words in text

            await asyncio.to_thread(await_true, is_said, 60)

        try:
            yield says
            assert process.poll() is None
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [("worker", "--processes", "0", "--learn", "0"), ("worker", "--role", "deliver"), ("collector", "--port", "0")],
    ids=["worker", "role", "collector"],
)
async def test_a_process_waits_for_a_broker_that_does_not_answer_yet_and_reports_it(
    embedded: Cluster, tmp_path: Path, command: tuple[str, ...]
) -> None:
    # The topics exist before the broker can be reached, because a process that finds none ends with an error.
    topics.create(embedded.connection, 4)
    with socket.socket() as address:
        address.bind(("127.0.0.1", 0))  # no process listens, and no other one can take the port
        server = f"127.0.0.1:{address.getsockname()[1]}"
        given = {
            "PERENNIAL_KAFKA__SERVERS": server,
            "PERENNIAL_KAFKA__PREFIX": embedded.connection.prefix,
            "PERENNIAL_KAFKA__EMBEDDED": "true",
            **{f"PERENNIAL_METRICS__{name}": "0" for name in ("DELIVER", "WORKER", "COLLECTOR")},
        }
        with starting(command, given, tmp_path) as says:
            await says(f"waiting for the broker: no broker answers at {server}")
            async with forwarding(embedded.connection.servers, address):
                await says("the broker answers")
                if command[0] == "collector":
                    await says("http://127.0.0.1:")
