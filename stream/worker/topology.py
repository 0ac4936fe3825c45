"""The map of agents, one line each: topics read, agent, topics written. Agents are not wired with ``@app.agent``.

::

    events.in, outcomes ── route_events ──────> events, events.rejected
    events ─────────────── fold_customers ────> profiles · interactions, signals, decisions, messages.*, examples.*
    examples.churn ─────── learn_churn ───────> learners.churn · versions, use (into events)
    examples.segments ──── learn_segments ────> learners.segments · versions, use (into events)
    examples.population ── learn_population ──> learners.population · versions, use (into events)
    messages.*           ─ deliver_messages ──> deliveries.* · outcomes

Left of the dot is the agent's state, which commits together with everything else on the line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Literal

from agents.deliver_messages import deliver_messages
from agents.fold_customers import fold_customers
from agents.route_events import route_events
from models.batch import Batch, Outputs
from models.events import Channel
from models.fold.memo import on_wall_clock
from models.log import EVENTS
from stream.delivery.dispatcher import Dispatcher
from stream.engine.agent_spec import AgentFactory, AgentSpec, Relay, Stateful

Role = Literal["fold", "deliver", "learn"]
ROLES: tuple[Role, ...] = ("fold", "deliver", "learn")
"""Each role is a separate Faust app, consumer group and process, so no role can delay another."""

LEARN_EVERY_S = 0.5
"""Time between two batches of a learner, seconds: each commit writes the learner's whole state."""

COUNT_EVERY_S = 3.0
"""Time between two batches of the learner of the population, seconds. Its state has up to 200 KB for one currency."""

DELIVER_EVERY_S = 0.05
"""Time between two batches of messages to deliver, seconds: each batch costs two commits."""

MAX_DELIVERED = 500
"""Maximum number of messages in a batch to deliver: bodies are large, and twice as many messages wait in memory."""

_ALIGNED_WITH_EVENTS = frozenset(
    {"interactions", "signals", "decisions", "messages.email", "messages.sms", "messages.push"}
)
"""Topics keyed by user and partitioned like ``events``: the fold writes to its own partition of them."""


def fold_agents() -> tuple[AgentSpec, ...]:
    """Return the agents of the role ``fold``."""
    return (
        Relay(name="route_events", topics=("events.in", "outcomes"), agent=_stateless(route_events)),
        Stateful(
            name="fold_customers",
            topic=EVENTS,
            agent=_with_state(fold_customers),
            state="profiles",
            aligned=_ALIGNED_WITH_EVENTS,
            wall_clock=on_wall_clock,
        ),
    )


def learn_agents() -> tuple[AgentSpec, ...]:
    """Return the agents of the role ``learn``."""
    # river imports scipy, which takes over a second and 100 MB; the other roles do not need it
    from agents.learn_churn import learn_churn
    from agents.learn_population import learn_population
    from agents.learn_segments import learn_segments

    return (
        Stateful(
            name="learn_churn",
            topic="examples.churn",
            agent=_with_state(learn_churn),
            state="learners.churn",
            pace_s=LEARN_EVERY_S,
        ),
        Stateful(
            name="learn_segments",
            topic="examples.segments",
            agent=_with_state(learn_segments),
            state="learners.segments",
            pace_s=LEARN_EVERY_S,
        ),
        Stateful(
            name="learn_population",
            topic="examples.population",
            agent=_with_state(learn_population),
            state="learners.population",
            pace_s=COUNT_EVERY_S,
        ),
    )


def deliver_agents(dispatchers: Mapping[Channel, Dispatcher], now: Callable[[], int]) -> tuple[AgentSpec, ...]:
    """Return the agents of the role ``deliver``: one for each channel.

    Parameters
    ----------
    dispatchers
        Open channels.
    now
        The wall clock, milliseconds.
    """
    return tuple(
        Stateful(
            name=f"deliver_{channel}",
            topic=f"messages.{channel}",
            agent=_with_state_and_wake(partial(deliver_messages, dispatcher=dispatcher, now=now)),
            state=f"deliveries.{channel}",
            pace_s=DELIVER_EVERY_S,
            max_records=MAX_DELIVERED,
            has_effects=True,
            on_revoked=dispatcher.on_revoked,
        )
        for channel, dispatcher in dispatchers.items()
    )


def _with_state(agent: Callable[..., AsyncIterator[Outputs]]) -> AgentFactory:
    return lambda state, _: partial(agent, state=state)


def _with_state_and_wake(agent: Callable[..., AsyncIterator[Outputs]]) -> AgentFactory:
    return lambda state, wake: partial(agent, state=state, wake=wake)


def _stateless(agent: Callable[[AsyncIterator[Batch]], AsyncIterator[Outputs]]) -> AgentFactory:
    return lambda *_: agent
