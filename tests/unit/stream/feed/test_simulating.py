"""A simulation writes only events that a door would accept, and only into a log that contains no events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.events import Event
from models.log import Tick, encode_control
from models.storefront.storefront import ReceivedMessage, Storefront
from models.units import DAY
from stream import presets
from stream.cluster import topics
from stream.feed.progress import AlreadyFed, require_unfed
from stream.feed.simulating import Simulated, simulate, validated
from stream.installation.embedded_broker import EmbeddedBroker
from stream.log.event_log import EventLog
from stream.log.versions import publish
from stream.settings.loading import load
from stream.settings.rules import read_configuration
from stream.worker.topology import fold_agents
from tests.support.inprocess import running_app
from tests.support.topic_reading import read_until

START = 1_767_571_200_000
PARTITIONS = 2


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(None, tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.mark.parametrize("logins", [0.0, 0.5])
def test_every_event_of_the_shop_passes_the_doors_unchanged(logins: float) -> None:
    storefront = Storefront(seed=3, shoppers=200, days=40, start_ms=START, logins=logins)
    events = storefront.advance(START + 20 * DAY)
    for user in sorted({event.user for event in events}):
        storefront.react(ReceivedMessage(id=f"m-{user}", user=user, channel="email", at=storefront.now))
    events += storefront.advance(storefront.end)

    assert {"message_opened", "message_clicked"} <= {event.type for event in events}
    assert [validated(event) for event in events] == events


async def test_a_log_with_only_its_clock_and_a_configuration_can_be_fed(broker: EmbeddedBroker) -> None:
    connection = broker.connection(prefix="fresh.")
    topics.create(connection, PARTITIONS)
    async with EventLog(connection, PARTITIONS) as log:
        await log.ensure_clock("feeder")

    await require_unfed(connection, PARTITIONS)


@pytest.mark.parametrize("what", ["a tick", "an event"])
async def test_a_log_that_was_fed_before_is_refused(broker: EmbeddedBroker, what: str) -> None:
    connection = broker.connection(prefix=f"fed.{what[-4:]}.".replace(" ", ""))
    topics.create(connection, PARTITIONS)
    async with EventLog(connection, PARTITIONS) as log:
        await log.ensure_clock("feeder")
        if what == "a tick":
            await log.broadcast(*encode_control(Tick(at=START)))
        else:
            await log.append([Event(id="m", user="u", type="page_view", at=START)])

    with pytest.raises(AlreadyFed, match="was fed before"):
        await require_unfed(connection, PARTITIONS)


async def shop_fed(
    broker: EmbeddedBroker, folder: Path, prefix: str, pace_s: float, logins: float
) -> tuple[Simulated, list[list[bytes | None]]]:
    """Run a small shop; return the result and the values in each partition of its log.

    The fold waits at least ``pace_s`` seconds between two batches.
    """
    presets.write("shop", folder, replace=True)
    flags = {"kafka.servers": broker.address, "kafka.embedded": True, "kafka.prefix": prefix}
    settings = load(folder / "perennial.yaml", {**flags, "kafka.partitions": PARTITIONS})
    connection = settings.connection()
    topics.create(connection, PARTITIONS)
    async with EventLog(connection, PARTITIONS) as log:
        await log.ensure_clock("feeder")
    await publish(connection, read_configuration(settings))
    edges = [replace(edge, pace_s=pace_s) for edge in fold_agents()]
    storefront = Storefront(seed=7, shoppers=120, days=5, start_ms=START, logins=logins)
    async with running_app(connection, edges, name="fold"):
        done = await simulate(settings, storefront)
    last = encode_control(Tick(at=storefront.end))
    records = await read_until(
        connection, "events", lambda found: sum((one.key, one.value) == last for one in found) == PARTITIONS
    )
    written = [[one for one in records if one.partition == partition] for partition in range(PARTITIONS)]
    return done, [[one.value for one in partition] for partition in written]


@pytest.mark.slow
@pytest.mark.parametrize("logins", [0.0, 0.5])
async def test_the_same_seed_gives_the_same_log_at_any_speed_of_the_fold(
    broker: EmbeddedBroker, tmp_path: Path, logins: float
) -> None:
    first, log = await shop_fed(broker, tmp_path, f"quick.{logins}.", 0.0, logins)
    second, again = await shop_fed(broker, tmp_path, f"slow.{logins}.", 0.4, logins)

    assert (first.logins > 10) == (logins > 0)
    assert first.reactions > 10
    assert first._replace(seconds=0.0) == second._replace(seconds=0.0)
    assert log == again
