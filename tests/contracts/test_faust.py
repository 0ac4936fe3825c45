"""The parts of Faust 0.15.3 on which our code relies."""

from __future__ import annotations

import contextlib
import inspect
import signal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faust
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from stream.transport import app as app_module
from stream.transport import consumer as transport
from stream.transport import consumer_thread, subscription
from tests.support.brokers import Cluster
from tests.support.processes import await_true
from tests.support.topic_reading import write
from tests.support.workers import running_worker


def test_the_installed_version_is_the_one_whose_private_methods_were_read() -> None:
    assert version("faust-streaming") == "0.15.3"


@pytest.mark.parametrize(
    ("ours", "names"),
    [
        (consumer_thread.BatchThread, ("on_start", "_create_worker_consumer", "_ensure_consumer")),
        (
            transport.BatchConsumer,
            (
                "_drain_messages",
                "_new_consumer_thread",
                "commit",
                "on_stop",
                "perform_seek",
                "verify_event_path",
                "wait_empty",
                "RebalanceListener",
            ),
        ),
        (consumer_thread.GroupListener, ("on_partitions_revoked",)),
        (transport.SilentProducer, ("on_start", "on_stop", "flush")),
        (transport.BatchTransport, ("Conductor", "Consumer", "Producer")),
        (app_module.LaneApp, ("_create_directories", "on_start")),
        (
            app_module._Worker,
            ("_on_sigterm", "_on_sigint", "_sentinel_task", "_setproctitle", "_schedule_shutdown"),
        ),
        (subscription.BatchConductor, ("add",)),
        (subscription.NoTables, ("on_start", "_update_channels", "recovery", "wait_for_stopped")),
    ],
)
def test_everything_that_we_override_exists_and_is_called_as_expected(ours: type, names: tuple[str, ...]) -> None:
    base = ours.__mro__[1]
    for name in names:
        theirs = getattr(base, name)  # fails if Faust has removed the name, because our override then has no effect
        if callable(theirs) and not inspect.isclass(theirs):
            mine = inspect.signature(getattr(ours, name)).parameters
            assert list(mine) == list(inspect.signature(theirs).parameters), name


async def _committed(cluster: Cluster, group: str) -> dict[Any, Any]:
    admin = AIOKafkaAdminClient(**cluster.connection.client_options())
    await admin.start()
    try:
        offsets: dict[Any, Any] = await admin.list_consumer_group_offsets(group)
        return {tp: found.offset for tp, found in offsets.items() if found.offset >= 0}
    finally:
        await admin.close()


@pytest.mark.kafka
async def test_faust_commits_nothing_even_if_it_is_stopped_while_an_agent_has_a_batch(
    kafka: Cluster, tmp_path: Path
) -> None:
    kafka.create(events=1, copies=1, profiles=1)
    log = tmp_path / "worker.log"
    with running_worker(kafka.connection, log, "tests.support.counting_worker", "1000") as worker:
        await write(kafka.connection, "events", [(b"u1", b"%d" % number) for number in range(100)])
        await_true(lambda: "thinking" in log.read_text(), 30)
        worker.send_signal(signal.SIGTERM)
        exit_code = worker.wait(12)

    assert exit_code == 0
    assert await _committed(kafka, kafka.connection.group("count")) == {}


def test_an_apps_topics_without_acks_are_neither_tracked_nor_committed() -> None:
    app = faust.App("contract", broker="kafka://127.0.0.1:1", web_enabled=False)
    topic = app.topic("events", acks=False)
    with contextlib.suppress(Exception):
        app.topics.add(topic)
    assert not app.topics.acks_enabled_for("events")
