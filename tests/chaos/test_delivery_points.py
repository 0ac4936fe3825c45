"""Kills right after an attempt's commit, in the middle of a call, and after a call: each leaves one e-mail unknown.

Only one e-mail is being handed over at a time, so it is certain which e-mail is unknown after a kill.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from models.delivery.deliveries import decode_delivery
from models.delivery.messages import encode_message
from models.events import decode_event
from models.log import is_control
from stream.cluster import topics
from stream.cluster.admin import admin
from stream.cluster.connection import Connection
from stream.cluster.membership import remove_dead_member
from stream.processes.child import Child
from stream.settings.loading import Settings
from tests.chaos.installing import PARTITIONS, write_settings
from tests.chaos.reference import committed
from tests.chaos.sink import Sink, listening
from tests.support.brokers import Cluster
from tests.support.letters import letters
from tests.support.topic_reading import write

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

MESSAGES, NTH, WITHIN_S = 12, 3, 60


class Shooting(Sink):
    """A mail server that can kill the process that hands over an e-mail, before the server answers.

    Attributes
    ----------
    victim
        Id of the process to kill at the next e-mail; ``None`` for no kill.
    order
        Accepted messages, the earliest first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.victim: int | None = None
        self.order: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        before = set(self.taken)
        answer = await super().handle_DATA(server, session, envelope)
        self.order += self.taken.keys() - before
        if self.victim is not None:
            os.kill(self.victim, signal.SIGKILL)
        return answer


@contextmanager
def delivering(settings: Settings, folder: Path, faults: str = "") -> Iterator[Child]:
    """Start one process that delivers, with faults at named points."""
    environment = {
        **settings.environment(),
        "PERENNIAL_DELIVERY__SMTP__CONNECTIONS": "1",
        "CHAOS_JOURNAL": str(folder / "journal"),
        "CHAOS_FAULTS": faults,
    }
    argv = (sys.executable, "-m", "tests.chaos.worker", "worker", "--role", "deliver")
    with (folder / "deliver.log").open("ab") as log:
        child = Child(argv, env=environment, output=log)
    try:
        yield child
    except BaseException:
        print((folder / "deliver.log").read_text(errors="replace"))
        raise
    finally:
        child.kill()
        remove_dead_members(settings.connection())


def remove_dead_members(connection: Connection) -> None:
    """Remove dead members from the group, as a supervisor does; otherwise the next process waits for a session."""
    group = connection.group("deliver")
    with admin(connection) as client:
        members = client.describe_groups([group])[group]["members"]
    for member in members:
        remove_dead_member(connection, group, member["member_id"])


async def until(there: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await there():  # noqa: ASYNC110 - a topic can only be polled
            await asyncio.sleep(0.2)


async def outcomes(connection: Connection) -> dict[str, Counter[str]]:
    """Return the outcomes of each message in the log, by its id."""
    said: dict[str, Counter[str]] = {}
    for record in await committed(connection, "outcomes", topics.topic("outcomes").partitions(PARTITIONS)):
        event = decode_event(record.value)
        said.setdefault(event.message or "", Counter())[event.type] += 1
    return said


async def test_each_kill_leaves_one_message_unknown_and_nothing_is_sent_twice_or_forgotten(
    kafka: Cluster, tmp_path: Path
) -> None:
    settings, _, port = write_settings(tmp_path, kafka.connection.servers, kafka.connection.prefix)
    connection = settings.connection()
    await asyncio.to_thread(topics.create, connection, PARTITIONS, 1)
    messages = letters(MESSAGES)
    await write(connection, "messages.email", [(m.user.encode(), encode_message(m)) for m in messages])
    ids = {message.id for message in messages}
    ends = []

    with listening(port, sink := Shooting()):
        with delivering(settings, tmp_path, f"kill@provider.before:{NTH}") as child:
            ends.append(await asyncio.to_thread(child.wait, WITHIN_S))
        taken_before, said_before = set(sink.order), await outcomes(connection)
        with delivering(settings, tmp_path) as child:
            sink.victim = child.pid
            ends.append(await asyncio.to_thread(child.wait, WITHIN_S))
        sink.victim, in_the_call = None, sink.order[-1]
        with delivering(settings, tmp_path, f"kill@provider.after:{NTH}") as child:
            ends.append(await asyncio.to_thread(child.wait, WITHIN_S))
        behind_the_call = sink.order[-1]
        with delivering(settings, tmp_path):

            async def all_reported() -> bool:
                return (await outcomes(connection)).keys() == ids

            await until(all_reported)
    said = await outcomes(connection)
    unknown = {message for message, kinds in said.items() if kinds == Counter(message_unknown=1)}
    (never_begun,) = ids - set(sink.taken)
    states = {
        record.key.decode(): decode_delivery(record.value).status
        for record in await committed(connection, "deliveries.email", PARTITIONS)
        if not is_control(record.key) and record.value is not None
    }

    assert ends == [-signal.SIGKILL] * 3
    # only one e-mail is handed over at a time, so the outcomes of all earlier e-mails were committed before the kill
    assert (len(taken_before), set(said_before)) == (NTH - 1, taken_before)
    assert unknown == {never_begun, in_the_call, behind_the_call}
    assert {message for message, kinds in said.items() if kinds == Counter(message_sent=1)} == ids - unknown
    assert set(sink.taken.values()) == {1}
    assert {message for message, status in states.items() if status == "unknown"} == unknown
