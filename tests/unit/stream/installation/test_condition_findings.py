"""``perennial check`` reports mistakes in conditions with their line, and what the conditions cost."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from models.events import Event
from models.units import DAY
from stream.cluster import topics
from stream.installation.check import Refused, findings, require_ready
from stream.installation.findings import Finding
from stream.log.event_log import EventLog
from stream.settings.loading import load
from tests.support.brokers import Cluster, create_topics

SEGMENTS = """\
version: 1
segments:
  - name: pro
    when: {event: Trial Strated, where: {plan: pro}, times: {at_least: 2}, within: 30d}
  - name: silent
    when:
      all:
        - {absent: purchase, for: 30d}
        - {segment: %s}
  - name: big
    when: {event: purchase, sum: amount, currency: EUR, at_least: 500, within: 90d}
rules:
  - name: hello
    when: {event: product_view, where: {category: lamps, colour: {is: red}}}
"""


def checked(folder: Path, text: str, cluster: Cluster | None = None) -> list[Finding]:
    template = folder / "templates" / "hello"
    template.mkdir(parents=True, exist_ok=True)
    (template / "text.liquid").write_text("text")
    (template / "subject.liquid").write_text("subject")
    file = folder / "perennial.yaml"
    file.write_text(text)
    flags = {}
    if cluster is not None:
        connection = cluster.connection
        flags = {"kafka.servers": connection.servers, "kafka.embedded": True, "kafka.prefix": connection.prefix}
        flags["kafka.partitions"] = 2
    return list(findings(load(file, flags, {}), offline=cluster is None))


def of(name: str, result: str, found: list[Finding]) -> list[str]:
    return [finding.says for finding in found if (finding.name, finding.result) == (name, result)]


def test_what_is_wrong_in_any_log_fails_and_the_memory_of_a_user_is_stated(tmp_path: Path) -> None:
    found = checked(tmp_path, SEGMENTS % "pros")

    (failed,) = of("segments", "failed", found)
    assert failed == (
        f"{tmp_path}/perennial.yaml:9: segments[1].when.all[1]: there is no segment 'pros' (did you mean pro?)"
    )
    (summary,) = of("segments", "ok", found)
    assert summary.startswith("3 segments (pro, silent, big), 3 clauses; at most ")
    assert summary.endswith(" bytes for a user, and 28 bytes for each event in 1 clause without such a limit")
    with pytest.raises(Refused, match="there is no segment 'pros'"):
        require_ready(load(tmp_path / "perennial.yaml", {}, {}))


def test_a_value_that_no_sender_states_is_noted(tmp_path: Path) -> None:
    (note,) = of("rules", "note", checked(tmp_path, SEGMENTS % "pro"))

    assert "rules[0].when.where.category: a value is compared with what the sender states" in note
    assert "{category: {is: ...}}" in note


def test_moves_of_the_lifecycle_that_the_file_states_are_checked(tmp_path: Path) -> None:
    text = "version: 1\nlifecycle: {moves: [{from: new, to: engaged, when: {score: recncy, at_least: 4}}]}\n"

    (failed,) = of("lifecycle", "failed", checked(tmp_path, text))

    assert failed.startswith(f"{tmp_path}/perennial.yaml:2: lifecycle.moves[0].when: there is no score 'recncy'")
    assert failed.endswith("(did you mean recency?); scores: churn, churn@14d, frequency, monetary, recency")


def test_the_stages_the_moves_and_their_memory_of_a_user_are_stated(tmp_path: Path) -> None:
    text = "version: 1\nlifecycle: {moves: [{from: new, to: dormant, when: never}]}\n"

    (summary,) = of("lifecycle", "ok", checked(tmp_path, text))

    assert re.fullmatch(
        r"9 stages \(visitor, new, .*, won_back\), 19 moves, 11 clauses; at most [0-9,]+ bytes for a user", summary
    )


def test_without_segments_nothing_is_said_about_them(tmp_path: Path) -> None:
    found = checked(tmp_path, "version: 1\n")

    assert not [finding for finding in found if finding.name in ("segments", "lifecycle")]


def test_what_the_log_has_shown_is_compared(tmp_path: Path, embedded: Cluster) -> None:
    create_topics(
        embedded.connection, {"events": 2}, {"events": {"retention.ms": str(60 * DAY), "cleanup.policy": "delete"}}
    )
    topics.create(embedded.connection, 2)
    started = Event(id="m", user="u", type="custom", name="Trial Started", at=1, properties={"plan": "pro"})
    view = Event(id="v", user="u", type="product_view", at=1, item="i", properties={"color": "red"})

    async def write() -> None:
        async with EventLog(embedded.connection, 2) as log:
            await log.ensure_clock("wall")
            await log.append([started])
            await log.append([view])

    asyncio.run(write())

    found = checked(tmp_path, SEGMENTS % "pro", embedded)

    assert of("segments", "failed", found) == []
    unknown, longer = of("segments", "note", found)
    assert unknown == (
        f"{tmp_path}/perennial.yaml:4: segments[0].when: "
        "the newest 2 events have no event 'Trial Strated' (did you mean Trial Started?)"
    )
    assert "perennial.yaml:11: segments[2].when.within: the log keeps events for 60d" in longer
    colour = next(says for says in of("rules", "note", found) if "colour" in says)
    assert "the newest 2 events have no property 'colour' of the event 'product_view' (did you mean color?)" in colour
