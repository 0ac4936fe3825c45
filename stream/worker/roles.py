"""Parts of a worker that depend on its role: its agents, and what they need."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.events import Channel
from stream.cluster.connection import Connection
from stream.delivery.dispatcher import Dispatcher
from stream.delivery.holds import Holds
from stream.engine.agent_spec import AgentSpec
from stream.settings.loading import Settings
from stream.worker.topology import Role, fold_agents, learn_agents


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


def open_role(role: Role, connection: Connection, settings: Settings, holds: Holds) -> RoleParts:
    """Return the parts of a worker; connect nowhere.

    Parameters
    ----------
    role
        What the worker does.
    connection
        The cluster.
    settings
        Settings of the installation.
    holds
        Reasons for which a delivery sends no messages.
    """
    if role == "fold":
        return RoleParts(fold_agents())
    if role == "learn":
        return RoleParts(learn_agents())
    # imported here because only a delivery needs an SMTP client and the suppression list
    from stream.worker.delivering import open_delivery

    return open_delivery(connection, settings, holds)
