"""Parts of a worker that depend on its role: its agents, their dispatchers, and its first tasks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.events import Channel
from stream.delivery.dispatcher import Dispatcher
from stream.engine.agent_spec import AgentSpec


@dataclass(frozen=True, slots=True)
class RoleParts:
    """Parts of a worker of one role.

    Attributes
    ----------
    specs
        Its agents.
    dispatchers
        Callers of providers, by channel.
    at_once
        Tasks that begin before any request to a broker.
    """

    specs: Sequence[AgentSpec]
    dispatchers: Mapping[Channel, Dispatcher] = field(default_factory=dict)
    at_once: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
