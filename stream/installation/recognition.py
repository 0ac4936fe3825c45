"""Recognition of the broker: a command asks the broker whether it is the embedded one.

In the folder of a running installation, the record of the installation says which kind it is. In other folders, the
settings may name only an address. Clients must know the kind, because the embedded broker has no transactions, and its
log has fewer partitions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.log import EVENTS
from stream.cluster.admin import BrokerUnreachable, admin, patiently
from stream.cluster.topics import existing
from stream.installation.embedded_broker import NAME_PREFIX
from stream.settings.loading import Settings, load

TIMEOUT_S = 5.0
"""How long the broker may take to answer, seconds."""


def opened(config: Path | None, flags: dict[str, Any] | None = None, *, patient: bool = False) -> Settings:
    """Load the settings, and complete them with the answer of their broker.

    Parameters
    ----------
    config, flags
        See :func:`stream.settings.loading.load`.
    patient
        Whether to wait for a broker that does not answer. Otherwise the settings stay as they are written, and the
        next client that uses them reports the error.
    """
    return recognised(load(config, flags), patient=patient)


def recognised(settings: Settings, *, patient: bool = False) -> Settings:
    """Complete settings that name a broker but not its kind; see :func:`opened`.

    The embedded broker listens without encryption and credentials, so a broker with these is not asked.
    """
    kafka = settings.sections.kafka
    if kafka.servers is None or kafka.embedded is not None or kafka.tls is not None or kafka.sasl is not None:
        return settings
    if patient:
        found = patiently(lambda: _ask(settings))
    else:
        try:
            found = _ask(settings)
        except BrokerUnreachable:
            return settings
    return load(settings.file, {**settings.flags, **found})


def _ask(settings: Settings) -> dict[str, Any]:
    """Return the flags that follow from the broker's answer."""
    connection = settings.connection()
    with admin(connection, timeout_s=TIMEOUT_S) as client:
        if not str(client.describe_cluster()["cluster_id"]).startswith(NAME_PREFIX):
            return {"kafka.embedded": False}
        found: dict[str, Any] = {"kafka.embedded": True}
        events = existing(client, connection).get(connection.topic(EVENTS))
        if settings.sections.kafka.partitions is None and events is not None:
            found["kafka.partitions"] = events
        return found
