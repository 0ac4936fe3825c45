"""The agents of all roles agree with the table of topics."""

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
from stream.engine.agent_spec import AgentSpec, Stateful
from stream.worker.topology import deliver_agents, fold_agents, learn_agents
from tests.support.configured_versions import VERSIONS_OVER_TIME
from tests.support.event_logs import fold_log, shoppers, written
from tests.support.mail import outbox_only


def specs() -> tuple[AgentSpec, ...]:
    """Return all agents of all roles."""
    channels = {channel: open_channel(channel, outbox_only(Path("outbox")), now=now_ms) for channel in CHANNELS}
    return (*fold_agents(), *learn_agents(), *deliver_agents(channels, now_ms))


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: spec.name)
def test_every_topic_of_an_agent_is_in_the_table_and_has_the_partitions_that_the_agent_needs(spec: AgentSpec) -> None:
    read = [topic(name) for name in spec.topics]

    assert all(topic(name).spread == read[0].spread for name in spec.aligned)
    if isinstance(spec, Stateful):
        state = topic(spec.state)
        assert state.cleanup == "compact"
        assert (state.spread, state.alike) == (read[0].spread, spec.topic)


def test_no_two_agents_share_a_topic_or_a_state() -> None:
    read = [name for spec in specs() for name in spec.topics]
    states = [spec.state for spec in specs() if isinstance(spec, Stateful)]

    assert len(set(read)) == len(read)
    assert len(set(states)) == len(states)


def test_every_topic_and_count_of_the_fold_is_declared() -> None:
    _, outputs = fold_log(
        written([*shoppers(8, users=15, days=30, extra=VERSIONS_OVER_TIME), (b"u", b"?")]), itertools.repeat(200)
    )
    written_to = {record.topic for output in outputs for record in output.commit.records}

    assert written_to >= {REJECTED, "messages.email", "messages.sms"}
    assert all(topic(name) for name in written_to)
    for output in outputs:
        metrics.count(output.counts)  # an undeclared name raises
