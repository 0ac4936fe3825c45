"""Each content of the configuration gets one version, and reaches every partition of the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from models.batch import Output
from models.configuration.compiled import Configuration, decode, encode
from models.learning.publication import Publication
from models.log import Use, decode_control
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.cluster.writer import Writer
from stream.log.versions import NAME, Applied, Contended, newest_use, publish, read_uses
from tests.support.brokers import Cluster
from tests.support.control_records import read_controls
from tests.support.topic_reading import write


@pytest.fixture
def connection(cluster: Cluster) -> Connection:
    topics.create(cluster.connection, partitions=4)
    return cluster.connection


async def uses(connection: Connection) -> list[list[tuple[int, str]]]:
    """Return version and time zone of each `use` record, for each partition of events."""
    return [
        [(use.version, decode(use.content).timezone) for use in partition if isinstance(use, Use)]
        for partition in await read_controls(connection)
    ]


async def test_a_version_reaches_every_partition_and_is_kept_in_versions(connection: Connection) -> None:
    applied = await publish(connection, Configuration(timezone="Europe/Berlin"))

    assert applied == Applied(version=1, changed=True)
    assert await uses(connection) == [[(1, "Europe/Berlin")]] * 4
    kept = newest_use(await read_uses(connection))
    assert kept is not None
    assert (kept.name, kept.version, decode(kept.content).timezone) == (NAME, 1, "Europe/Berlin")


async def test_going_back_to_old_content_is_a_new_version(connection: Connection) -> None:
    for zone in ("Europe/Berlin", "Asia/Tokyo", "Europe/Berlin"):
        applied = await publish(connection, Configuration(timezone=zone))

    assert applied == Applied(version=3, changed=True)
    assert (await uses(connection))[0] == [(1, "Europe/Berlin"), (2, "Asia/Tokyo"), (3, "Europe/Berlin")]


async def test_the_same_content_keeps_its_version_and_completes_an_interrupted_call(
    connection: Connection,
) -> None:
    await publish(connection, Configuration(timezone="Europe/Berlin"))

    assert await publish(connection, Configuration(timezone="Europe/Berlin")) == Applied(version=1, changed=False)
    assert await uses(connection) == [[(1, "Europe/Berlin")] * 2] * 4


ZONES = ("Europe/Berlin", "Asia/Tokyo", "America/Lima", "Africa/Cairo")


async def test_publishers_at_the_same_time_get_different_versions(connection: Connection) -> None:
    applied = await asyncio.gather(*(publish(connection, Configuration(timezone=zone)) for zone in ZONES))

    assert sorted(each.version for each in applied) == [1, 2, 3, 4]
    wanted = {each.version: zone for each, zone in zip(applied, ZONES, strict=True)}
    for partition in await uses(connection):
        assert len(partition) == len(ZONES)
        assert dict(partition) == wanted


async def write_versions(connection: Connection, *versions: tuple[int, str]) -> None:
    """Write versions as other publishers would, in this order."""
    made = [Publication(version, encode(Configuration(timezone=zone))).output(NAME) for version, zone in versions]
    await write(connection, "versions", [(output.key, output.value or b"") for output in made])


async def test_only_the_first_record_of_a_version_counts(connection: Connection) -> None:
    await write_versions(connection, (1, "Europe/Berlin"), (1, "Asia/Tokyo"))

    assert await publish(connection, Configuration(timezone="Europe/Berlin")) == Applied(version=1, changed=False)
    assert await publish(connection, Configuration(timezone="Asia/Tokyo")) == Applied(version=2, changed=True)


async def test_a_version_that_comes_late_is_not_the_newest(connection: Connection) -> None:
    await write_versions(connection, (1, "Europe/Berlin"), (2, "Asia/Tokyo"), (1, "America/Lima"))

    assert await publish(connection, Configuration(timezone="Asia/Tokyo")) == Applied(version=2, changed=False)
    assert await publish(connection, Configuration(timezone="America/Lima")) == Applied(version=3, changed=True)


async def test_a_publisher_gives_up_when_others_are_always_first(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(writer: Writer, outputs: Iterable[Output]) -> None:
        (output,) = outputs
        use = decode_control(output.value or b"")
        assert isinstance(use, Use)
        await write_versions(connection, (use.version, "Asia/Tokyo"))
        await send(writer, [output])

    send = Writer.send
    monkeypatch.setattr(Writer, "send", late)
    monkeypatch.setattr("stream.log.versions.MAX_ATTEMPTS", 3)

    with pytest.raises(Contended, match="nothing was applied"):
        await publish(connection, Configuration(timezone="Europe/Berlin"))
    assert await uses(connection) == [[]] * 4
