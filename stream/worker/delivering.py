"""Parts of a worker that delivers messages: open channels, and the suppression list that they use."""

from __future__ import annotations

import functools

from models.delivery.suppression_list import SuppressionList
from models.delivery.suppressor import Suppressor
from models.events import CHANNELS
from models.units import now_ms
from stream.cluster.connection import Connection
from stream.delivery.channels import open_channel
from stream.delivery.configured import delivery_settings, suppression_hashes
from stream.delivery.holds import Holds
from stream.delivery.self_check import hold_until_checked
from stream.settings.loading import Settings
from stream.suppressions.announcing import announce
from stream.suppressions.watch import SuppressionWatch
from stream.worker.roles import RoleParts
from stream.worker.topology import deliver_agents


def open_delivery(connection: Connection, settings: Settings, holds: Holds) -> RoleParts:
    """Return the parts of a delivering worker; it sends no message before the suppression list and the rules are read.

    If the secret of a provider cannot be read, its messages are held. If they were not held, they would be rejected
    permanently.
    """
    hold_until_checked(settings, holds)
    watch = SuppressionWatch(connection, SuppressionList(suppression_hashes(settings)), holds)
    dispatchers = {
        channel: open_channel(
            channel,
            delivery_settings(settings),
            now=now_ms,
            holds=holds,
            suppressor=Suppressor(channel, watch.listed, watch.behind),
        )
        for channel in CHANNELS
    }
    announcing = functools.partial(announce, watch, connection, settings.partitions)
    return RoleParts(deliver_agents(dispatchers, now_ms), dispatchers, (watch.follow, announcing))
