"""The settings file is put into use in one call, and a log keeps the clock that it has."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from models.configuration.levels import Addition, require_expressible
from models.errors import InvalidConfiguration
from models.levels import FIRST, NEWEST, UnknownLevel
from models.log import Clock, Use, encode_control, opening
from stream.cluster import topics
from stream.installation import applying
from stream.installation.applying import apply
from stream.log.event_log import ClockName, EventLog, WrongClock
from stream.log.versions import Applied
from stream.settings.loading import Settings, load
from tests.support.brokers import Cluster
from tests.support.control_records import read_controls
from tests.support.settings_files import WIN_BACK, write_settings


def installed(tmp_path: Path, embedded: Cluster) -> Settings:
    write_settings(tmp_path, WIN_BACK, win_back__subject="s", win_back__text="t")
    reached = embedded.connection
    flags = {"kafka.servers": reached.servers, "kafka.embedded": True, "kafka.prefix": reached.prefix}
    settings = load(tmp_path / "perennial.yaml", flags, {})
    topics.create(settings.connection(), settings.partitions)
    return settings


@pytest.mark.parametrize("clock", ["wall", "feeder"])
def test_the_first_record_of_an_empty_log_names_the_clock(tmp_path: Path, embedded: Cluster, clock: ClockName) -> None:
    settings = installed(tmp_path, embedded)

    apply(settings, clock)

    for partition in asyncio.run(read_controls(settings.connection())):
        assert [type(control) for control in partition] == [Clock, Use]
        assert partition[0] == opening(clock)


def test_a_log_with_the_wall_clock_is_not_changed_to_the_feeders_clock(tmp_path: Path, embedded: Cluster) -> None:
    settings = installed(tmp_path, embedded)
    apply(settings)

    with pytest.raises(WrongClock):
        apply(settings, "feeder")


@pytest.mark.parametrize("clock", ["feeder", "wall"])
def test_a_log_keeps_the_clock_that_it_has(tmp_path: Path, embedded: Cluster, clock: ClockName) -> None:
    settings = installed(tmp_path, embedded)

    async def name() -> None:
        async with EventLog(settings.connection(), settings.partitions) as log:
            await log.ensure_clock(clock)

    asyncio.run(name())
    apply(settings)

    for partition in asyncio.run(read_controls(settings.connection())):
        assert [type(control) for control in partition] == [Clock, Use]
        assert partition[0] == opening(clock)


def test_a_file_is_put_into_use_in_one_call(tmp_path: Path, embedded: Cluster) -> None:
    assert apply(installed(tmp_path, embedded)) == Applied(version=1, changed=True)


def raise_levels(settings: Settings, level: int) -> None:
    async def write() -> None:
        async with EventLog(settings.connection(), settings.partitions) as log:
            await log.broadcast(*encode_control(Clock("wall", level)))

    asyncio.run(write())


def test_a_configuration_that_only_a_higher_level_can_express_is_refused(
    tmp_path: Path, embedded: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = installed(tmp_path, embedded)
    raise_levels(settings, FIRST)
    rules = Addition(NEWEST, frozenset(), lambda found: iter([("rules", found.rules[0].name)]))
    monkeypatch.setattr(applying, "require_expressible", partial(require_expressible, additions=[rules]))

    with pytest.raises(InvalidConfiguration, match=r"rules: found 'win_back'.*perennial upgrade finish"):
        apply(settings)

    assert all(len(partition) == 1 for partition in asyncio.run(read_controls(settings.connection())))


def test_a_log_of_a_later_release_gets_no_configuration_from_this_one(tmp_path: Path, embedded: Cluster) -> None:
    settings = installed(tmp_path, embedded)
    raise_levels(settings, NEWEST + 1)

    with pytest.raises(UnknownLevel, match=f"the log: found format level {NEWEST + 1}"):
        apply(settings)
