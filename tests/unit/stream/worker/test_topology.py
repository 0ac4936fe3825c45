from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from models.events import CHANNELS
from models.rejected import TOPIC as REJECTED
from models.units import now_ms
from monitoring import metrics
from stream.cluster.topics import topic
from stream.delivery.channels import open_channel
from stream.engine.agent_spec import Edge
from stream.worker.topology import deliver_edges, fold_edges, learn_edges
from tests.support.configured_versions import VERSIONS_OVER_TIME
from tests.support.event_logs import fold_log, shoppers, written
from tests.support.mail import outbox_only


def edges() -> tuple[Edge, ...]:
    senders = {channel: open_channel(channel, outbox_only(Path("outbox")), now=now_ms) for channel in CHANNELS}
    return (*fold_edges(), *learn_edges(), *deliver_edges(senders, now_ms))


@pytest.mark.parametrize("edge", edges(), ids=lambda edge: edge.name)
def test_every_topic_of_an_edge_is_in_the_table_and_partitioned_as_the_edge_relies_on(edge: Edge) -> None:
    read = [topic(name) for name in edge.topics]

    assert all(topic(name).spread == read[0].spread for name in edge.aligned)
    if edge.state is not None:
        state = topic(edge.state)
        assert state.cleanup == "compact"
        assert (state.spread, state.alike) == (read[0].spread, edge.topics[0])


def test_no_two_edges_share_a_topic_or_a_state() -> None:
    read = [name for edge in edges() for name in edge.topics]
    states = [edge.state for edge in edges() if edge.state is not None]

    assert len(set(read)) == len(read)
    assert len(set(states)) == len(states)


def test_what_the_fold_writes_and_counts_is_declared() -> None:
    _, outputs = fold_log(
        written([*shoppers(8, users=15, days=30, extra=VERSIONS_OVER_TIME), (b"u", b"?")]), itertools.repeat(200)
    )
    written_to = {record.topic for output in outputs for record in output.commit.records}

    assert written_to >= {REJECTED, "messages.email", "messages.sms"}
    assert all(topic(name) for name in written_to)
    for output in outputs:
        metrics.count(output.counts)  # an undeclared name raises
