"""The configuration goes from the file with its templates into the log, once for each content."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from models.batch import Output
from models.configuration.compiled import Configuration, decode, encode
from models.learning.publication import Publication
from models.log import Clock, Control, Use, decode_control
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.cluster.writer import Writer
from stream.log.event_log import ClockName, EventLog, WrongClock
from stream.log.versions import (
    NAME,
    Applied,
    Contended,
    apply,
    configuration,
    newest_use,
    publish,
    read_templates,
    read_uses,
)
from stream.settings.loading import Settings, load
from stream.settings.sources import InvalidSettings
from tests.support.brokers import Cluster
from tests.support.topic_reading import write

RULES = "rules:\n  - name: win_back\n    when: {churn_risk: {crosses: 0.7}}\n"


def written(folder: Path, text: str, **templates: str) -> Settings:
    (folder / "perennial.yaml").write_text(f"version: 1\n{text}")
    for name, content in templates.items():
        template, _, part = name.partition("__")
        file = folder / "templates" / template / f"{part}.liquid"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return load(folder / "perennial.yaml", environment={})


def test_templates_are_folders_beside_the_file(tmp_path: Path) -> None:
    settings = written(
        tmp_path, RULES, win_back__subject="We miss\nyou\n", win_back__text="Hello", win_back__html="<p>"
    )

    template = configuration(settings).templates["win_back"]

    assert (template.subject, template.text, template.html, template.sms) == ("We miss\nyou\n", "Hello", "<p>", None)


def test_a_template_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    settings = written(
        tmp_path, RULES, win_back__subject="\ufeffWe miss you", win_back__text="\ufeffHello", win_back__html="\ufeff<p>"
    )

    template = configuration(settings).templates["win_back"]

    assert (template.subject, template.text, template.html) == ("We miss you", "Hello", "<p>")


def test_no_folder_means_no_templates(tmp_path: Path) -> None:
    assert read_templates(tmp_path / "templates") == {}


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ({"win_back__subject": "s"}, r"templates/win_back: found \['subject'\]; allowed: a text\.liquid"),
        ({"win_back__text": "t", "win_back__sujbect": "s"}, r"sujbect\.liquid: .*did you mean subject\.liquid\?"),
        ({"win_back__text": "t"}, r"templates/win_back/subject\.liquid: found ''; allowed: a subject"),
        (
            {"win_back__text": "{{ first_nam }}", "win_back__subject": "s"},
            r"text\.liquid:1: .*did you mean first_name\?",
        ),
        (
            {"win_back__text": "Hello\n{% if %}", "win_back__subject": "s"},
            r"win_back/text\.liquid:2: found 'missing expression'; allowed: what Liquid can read",
        ),
        ({"winback__text": "t"}, r"perennial\.yaml:3: rules\[0\]\.template: found 'win_back'; .*\(winback\)"),
    ],
)
def test_what_is_wrong_with_a_template_names_its_file(tmp_path: Path, templates: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        configuration(written(tmp_path, RULES, **templates))


def test_what_is_wrong_with_a_rule_names_its_line(tmp_path: Path) -> None:
    settings = written(tmp_path, "rules:\n  - name: x\n    when:\n      churn_risk: {crosses: 7}\n")

    with pytest.raises(InvalidSettings, match=r"perennial\.yaml:5: rules\[0\]\.when\.churn_risk\.crosses: found 7"):
        configuration(settings)


@pytest.mark.parametrize(
    ("where", "place", "found"),
    [
        ("{plan: {gt: 3}}", "where.plan", r"\{'gt': 3\}"),
        ("{plan: null}", "where.plan", "nothing"),
        ("{plan: }", "where.plan", "nothing"),
        ("{plan: [null]}", r"where.plan\[0\]", "nothing"),
        ("{plan: [[a]]}", r"where.plan\[0\]", r"\['a'\]"),
        ("{ok: 1, plan: [pro, {a: b}]}", r"where.plan\[1\]", r"\{'a': 'b'\}"),
        ("{a.b: {c: 1}}", "where.a.b", r"\{'c': 1\}"),
        ("{'[0]': {c: 1}}", r"where.\[0\]", r"\{'c': 1\}"),
        ("[1]", "where", r"\[1\]"),
    ],
)
def test_what_is_wrong_in_a_mapping_with_free_keys_names_its_place(
    tmp_path: Path, where: str, place: str, found: str
) -> None:
    settings = written(tmp_path, f"rules:\n  - name: x\n    when:\n      event: A\n      where: {where}\n")

    with pytest.raises(
        InvalidSettings, match=rf"perennial\.yaml:6: rules\[0\]\.when\.{place}: found {found}; allowed: "
    ):
        configuration(settings)


@pytest.fixture
def connection(cluster: Cluster) -> Connection:
    topics.create(cluster.connection, partitions=4)
    return cluster.connection


async def controls(connection: Connection) -> list[list[Control]]:
    """Every record of each partition of events."""
    found = []
    for partition in range(4):
        place = TopicPartition(connection.topic("events"), partition)
        reader = AIOKafkaConsumer(**connection.client_options(), auto_offset_reset="earliest", fetch_max_wait_ms=20)
        await reader.start()
        try:
            reader.assign([place])
            records = []
            while reader.highwater(place) is None or await reader.position(place) < reader.highwater(place):
                records += (await reader.getmany(place, timeout_ms=200)).get(place, [])
        finally:
            await reader.stop()
        found.append([decode_control(record.value) for record in records])
    return found


async def uses(connection: Connection) -> list[list[tuple[int, str]]]:
    """Version and time zone of each `use` record, for each partition of events."""
    return [
        [(use.version, decode(use.content).timezone) for use in partition if isinstance(use, Use)]
        for partition in await controls(connection)
    ]


async def test_every_partition_hears_of_it_and_versions_keeps_it(connection: Connection) -> None:
    applied = await publish(connection, Configuration(timezone="Europe/Berlin"))

    assert applied == Applied(version=1, changed=True)
    assert await uses(connection) == [[(1, "Europe/Berlin")]] * 4
    kept = newest_use(await read_uses(connection))
    assert kept is not None
    assert (kept.name, kept.version, decode(kept.content).timezone) == (NAME, 1, "Europe/Berlin")


async def test_going_back_is_a_new_version(connection: Connection) -> None:
    for zone in ("Europe/Berlin", "Asia/Tokyo", "Europe/Berlin"):
        applied = await publish(connection, Configuration(timezone=zone))

    assert applied == Applied(version=3, changed=True)
    assert (await uses(connection))[0] == [(1, "Europe/Berlin"), (2, "Asia/Tokyo"), (3, "Europe/Berlin")]


async def test_the_same_again_keeps_its_version_and_completes_what_was_cut_short(connection: Connection) -> None:
    await publish(connection, Configuration(timezone="Europe/Berlin"))

    assert await publish(connection, Configuration(timezone="Europe/Berlin")) == Applied(version=1, changed=False)
    assert await uses(connection) == [[(1, "Europe/Berlin")] * 2] * 4


ZONES = ("Europe/Berlin", "Asia/Tokyo", "America/Lima", "Africa/Cairo")


async def test_of_many_at_once_each_has_a_version_of_its_own(connection: Connection) -> None:
    applied = await asyncio.gather(*(publish(connection, Configuration(timezone=zone)) for zone in ZONES))

    assert sorted(each.version for each in applied) == [1, 2, 3, 4]
    wanted = {each.version: zone for each, zone in zip(applied, ZONES, strict=True)}
    for partition in await uses(connection):
        assert len(partition) == len(ZONES)
        assert dict(partition) == wanted


async def said(connection: Connection, *versions: tuple[int, str]) -> None:
    """What others have written to `versions`, in this order."""
    made = [Publication(version, encode(Configuration(timezone=zone))).output(NAME) for version, zone in versions]
    await write(connection, "versions", [(output.key, output.value or b"") for output in made])


async def test_who_came_second_with_a_version_never_had_it(connection: Connection) -> None:
    await said(connection, (1, "Europe/Berlin"), (1, "Asia/Tokyo"))

    assert await publish(connection, Configuration(timezone="Europe/Berlin")) == Applied(version=1, changed=False)
    assert await publish(connection, Configuration(timezone="Asia/Tokyo")) == Applied(version=2, changed=True)


async def test_a_version_that_comes_late_is_not_the_newest(connection: Connection) -> None:
    await said(connection, (1, "Europe/Berlin"), (2, "Asia/Tokyo"), (1, "America/Lima"))

    assert await publish(connection, Configuration(timezone="Asia/Tokyo")) == Applied(version=2, changed=False)
    assert await publish(connection, Configuration(timezone="America/Lima")) == Applied(version=3, changed=True)


async def test_it_gives_up_where_others_are_always_first(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(writer: Writer, outputs: Iterable[Output]) -> None:
        (output,) = outputs
        use = decode_control(output.value or b"")
        assert isinstance(use, Use)
        await said(connection, (use.version, "Asia/Tokyo"))
        await send(writer, [output])

    send = Writer.send
    monkeypatch.setattr(Writer, "send", late)
    monkeypatch.setattr("stream.log.versions.ATTEMPTS", 3)

    with pytest.raises(Contended, match="nothing was applied"):
        await publish(connection, Configuration(timezone="Europe/Berlin"))
    assert await uses(connection) == [[]] * 4


def installed(tmp_path: Path, embedded: Cluster) -> Settings:
    written(tmp_path, RULES, win_back__subject="s", win_back__text="t")
    reached = embedded.connection
    flags = {"kafka.servers": reached.servers, "kafka.embedded": True, "kafka.prefix": reached.prefix}
    settings = load(tmp_path / "perennial.yaml", flags, {})
    topics.create(settings.connection(), settings.partitions)
    return settings


@pytest.mark.parametrize("clock", ["wall", "feeder"])
def test_in_an_empty_log_the_clock_is_named_first(tmp_path: Path, embedded: Cluster, clock: ClockName) -> None:
    settings = installed(tmp_path, embedded)

    apply(settings, clock)

    for partition in asyncio.run(controls(settings.connection())):
        assert [type(control) for control in partition] == [Clock, Use]
        assert partition[0] == Clock(clock=clock)


def test_a_live_log_is_not_made_a_feeders(tmp_path: Path, embedded: Cluster) -> None:
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

    for partition in asyncio.run(controls(settings.connection())):
        assert [type(control) for control in partition] == [Clock, Use]
        assert partition[0] == Clock(clock=clock)


def test_a_file_is_put_into_use_in_one_call(tmp_path: Path, embedded: Cluster) -> None:
    assert apply(installed(tmp_path, embedded)) == Applied(version=1, changed=True)
