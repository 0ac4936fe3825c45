"""Agents are wired here, and not with ``@app.agent``: topic, agent, topics, a line for each edge.

::

    events.in, outcomes ── route_events ──────> events, events.rejected
    events ─────────────── fold_customers ────> profiles · interactions, signals, decisions, messages.*, examples.*
    examples.churn ─────── learn_churn ───────> learners.churn · versions, use (into events)
    examples.segments ──── learn_segments ────> learners.segments · versions, use (into events)
    messages.email, .sms ─ deliver_messages ──> deliveries.* · outcomes

Left of the dot: the agent's own state, which commits together with everything else on the line.
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
from stream.engine.agent_spec import AgentFactory, Edge

Role = Literal["fold", "deliver", "learn"]
ROLES: tuple[Role, ...] = ("fold", "deliver", "learn")
"""Each is a Faust app, a consumer group and a process of its own, so none stands in another's way."""

LEARN_EVERY_S = 0.5
"""A learner commits its whole state so often, with all that arrived meanwhile."""

DELIVER_EVERY_S = 0.05
"""A delivery that is behind takes what arrived meanwhile together: each batch costs two commits."""

DELIVER_MOST = 500
"""Messages that a delivery takes at once: bodies are large, and so many more wait in front of it."""

_BESIDE_EVENTS = frozenset({"interactions", "signals", "decisions", "messages.email", "messages.sms"})
"""Keyed by user and partitioned like ``events``: the fold writes to its own partition of them."""


def fold_edges() -> tuple[Edge, ...]:
    """Edges of the role ``fold``."""
    return (
        Edge("route_events", ("events.in", "outcomes"), _stateless(route_events), kind="relay"),
        Edge(
            "fold_customers",
            (EVENTS,),
            _with_state(fold_customers),
            state="profiles",
            aligned=_BESIDE_EVENTS,
            wall_clock=on_wall_clock,
        ),
    )


def learn_edges() -> tuple[Edge, ...]:
    """Edges of the role ``learn``."""
    # river brings scipy: over a second at start and 100 MB that the other roles do without
    from agents.learn_churn import learn_churn
    from agents.learn_segments import learn_segments

    return (
        Edge(
            "learn_churn", ("examples.churn",), _with_state(learn_churn), state="learners.churn", pace_s=LEARN_EVERY_S
        ),
        Edge(
            "learn_segments",
            ("examples.segments",),
            _with_state(learn_segments),
            state="learners.segments",
            pace_s=LEARN_EVERY_S,
        ),
    )


def deliver_edges(dispatchers: Mapping[Channel, Dispatcher], now: Callable[[], int]) -> tuple[Edge, ...]:
    """Edges of the role ``deliver``: one a channel.

    Parameters
    ----------
    dispatchers
        Open channels.
    now
        The wall clock, milliseconds.
    """
    return tuple(
        Edge(
            f"deliver_{channel}",
            (f"messages.{channel}",),
            _with_state_and_wake(partial(deliver_messages, dispatcher=dispatcher, now=now)),
            state=f"deliveries.{channel}",
            pace_s=DELIVER_EVERY_S,
            max_records=DELIVER_MOST,
            beats=True,
            gone=dispatcher.on_revoked,
        )
        for channel, dispatcher in dispatchers.items()
    )


def _with_state(agent: Callable[..., AsyncIterator[Outputs]]) -> AgentFactory:
    return lambda state, _: partial(agent, state=state)


def _with_state_and_wake(agent: Callable[..., AsyncIterator[Outputs]]) -> AgentFactory:
    return lambda state, wake: partial(agent, state=state, wake=wake)


def _stateless(agent: Callable[[AsyncIterator[Batch]], AsyncIterator[Outputs]]) -> AgentFactory:
    return lambda *_: agent
