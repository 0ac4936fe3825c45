"""``perennial pause CHANNEL`` and ``perennial resume CHANNEL``: nothing leaves over a channel for a while."""

from __future__ import annotations

from typing import Annotated

import typer

from models.events import Channel
from stream.cli.output import Config, print_line

Which = Annotated[Channel, typer.Argument(help="email or sms.")]


def pause(channel: Which, config: Config = None) -> None:
    """Stop a channel: what is decided meanwhile is dropped (channel_paused), what waits for delivery goes on waiting.

    It acts from its place in the log on, also after restarts, until `perennial resume`. What a provider has been handed
    cannot be called back.
    """
    _order("pause", channel, config)
    print_line(f"{channel} is paused; perennial resume {channel} lets it go on")


def resume(channel: Which, config: Config = None) -> None:
    """Let a paused channel go on: what has waited for delivery leaves, unless its time is over."""
    _order("resume", channel, config)
    print_line(f"{channel} goes on")


def _order(order: str, channel: Channel, config: Config) -> None:
    import asyncio

    from stream.cluster.topics import require_topics
    from stream.installation.recognition import opened
    from stream.log.orders import give

    settings = opened(config)
    require_topics(settings.connection(), settings.partitions)
    asyncio.run(give(settings.connection(), settings.partitions, order, channel))
