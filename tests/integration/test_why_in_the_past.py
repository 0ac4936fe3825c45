"""``perennial user --why SEGMENT --at TIME`` gives what the worker answered at that time, with stages and scores."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.events import Event
from models.fold.memo import read_memo
from models.fold.moments import moment
from models.learning import population
from models.learning.population import Population, PopulationGaps
from models.log import Control, Tick, Use, encode_control
from models.units import DAY, HOUR
from stream.cli import run
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.log.deciding_events import with_deciding_events
from stream.log.event_log import EventLog
from stream.lookup.client import ask_json
from stream.lookup.server import LookupServer
from stream.transport.app import LaneApp
from stream.worker.topology import fold_agents
from tests.support.brokers import Cluster
from tests.support.configured_versions import churn_version, segments_version
from tests.support.event_logs import START
from tests.support.inprocess import running_app, until
from tests.support.lifecycles import purchase
from tests.support.segment_logs import identified, viewed

PARTITIONS = 2
SEGMENTS = [
    {"name": "lost", "when": {"any": [{"lifecycle": ["at_risk", "dormant"]}, {"score": "churn", "at_least": 0.99}]}},
    {
        "name": "fading",
        "when": {
            "all": [
                {"lifecycle": "at_risk"},
                {"score": "recency", "at_most": 2},
                {"score": "churn", "at_least": 0.5},
                {"not": {"segment": "busy"}},
                {"trait": "plan", "is": "pro"},
                {"feature": "orders", "at_least": 0.5},
                {"absent": "product_view", "for": "30d"},
            ]
        },
    },
]
HISTORY: list[tuple[int, list[Event]]] = [
    (0, [identified("u", 0, plan="free"), purchase(1, START), purchase(2, START, "v")]),
    (1, [purchase(3, START + DAY), viewed("u", DAY)]),
    (3, [identified("u", 3 * DAY, plan="pro"), viewed("v", 3 * DAY)]),
    (40, [viewed("v", 40 * DAY)]),
    (92, [viewed("v", 92 * DAY)]),
    (200, [viewed("u", 200 * DAY)]),
]
"""Days after the start, and the events of that day. The user moves to at_risk after 91 days, and then to dormant."""


def versions() -> list[Control]:
    content = encode(parse({"segments": SEGMENTS, "lifecycle": {}}, {}))
    configuration = Use(name="configuration", version=1, content=msgspec.Raw(content))
    buyers = Population(
        users=100,
        recency=(5.0, 20.0, 60.0, 180.0),
        frequency=(1.0, 2.0, 3.0, 4.0),
        gaps=PopulationGaps(median=20.0, p75=40.0, p90=90.0, count=50),
    )
    learned = Use(name=population.NAME, version=1, content=msgspec.Raw(population.encode(buyers)))
    return [configuration, churn_version(1), segments_version(1), learned]


@asynccontextmanager
async def answering(app: LaneApp, connection: Connection) -> AsyncIterator[str]:
    """Serve the lookups of a worker, and yield its address."""
    server = LookupServer(
        restored=lambda partition: app.lanes.restored("events", partition),
        owns=lambda _: True,
        standing=dict,
        partitions=PARTITIONS,
        identity="ours/perennial.",
    )
    server.with_events = partial(with_deciding_events, connection)
    yield f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    await server.stop()


def has_come(app: LaneApp, now: int) -> bool:
    states = [app.lanes.restored("events", partition) for partition in range(PARTITIONS)]
    return all(state is not None and read_memo(state).now == now for state in states)


async def live(connection: Connection) -> list[tuple[int, dict[str, Any]]]:
    """Return the answers of the worker at the end of each day of the history, with the day."""
    found: list[tuple[int, dict[str, Any]]] = []
    async with EventLog(connection, PARTITIONS) as log, running_app(connection, fold_agents()) as app:
        await log.ensure_clock("feeder")
        for control in versions():
            await log.broadcast(*encode_control(control))
        async with answering(app, connection) as address:
            for day, events in HISTORY:
                await log.broadcast(*encode_control(Tick(at=START + day * DAY)))
                await log.append(events)
                end = START + day * DAY + HOUR
                await log.broadcast(*encode_control(Tick(at=end)))
                await until(partial(has_come, app, end))
                for segment in SEGMENTS:
                    path = f"/v1/users/u/why/{segment['name']}?events=log"
                    found.append((day, await ask_json([address], path)))
    return found


@pytest.mark.kafka
def test_the_answer_of_each_day_is_found_again_in_the_log(
    kafka: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connection, file = kafka.connection, tmp_path / "perennial.yaml"
    section = f"{{servers: '{connection.servers}', prefix: {connection.prefix}, partitions: {PARTITIONS}}}"
    file.write_text(f"version: 1\nkafka: {section}\n")
    topics.create(connection, PARTITIONS)

    answers = asyncio.run(live(connection))

    for day, answer in answers:
        at = str(moment(START + day * DAY + HOUR))
        assert run(["user", "u", "--why", answer["segment"], "--at", at, "--json", "--config", str(file)]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said | {"position": 0} == answer | {"position": 0}

    lost = {day: answer for day, answer in answers if answer["segment"] == "lost"}
    stages = {day: answer["tree"]["of"][0]["value"] for day, answer in lost.items()}
    assert [stages[day] for day in (1, 40, 92, 200)] == ["engaged", "engaged", "at_risk", "dormant"]
    assert lost[40]["since"] is None
    assert lost[92]["tree"]["of"][0]["decided_at"] == lost[92]["since"] is not None

    fading = {day: answer for day, answer in answers if answer["segment"] == "fading"}
    assert (fading[40]["since"], fading[200]["since"]) == (None, None)
    assert fading[92]["since"] is not None
    clauses = fading[92]["tree"]["of"]
    events = [one["event"] and one["event"]["id"] for one in clauses if "clause" in one]
    assert events == [None, "m3", None, f"u-{3 * DAY}-i", "m3", f"u-{DAY}"]
    assert [one["no_event"] for one in clauses if "clause" in one] == ["time", None, "time", None, None, None]
    assert {"lifecycle": "at_risk"} in fading[40]["failing"]
