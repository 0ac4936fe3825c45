"""``perennial pause CHANNEL`` and ``perennial resume CHANNEL``: no messages over a channel for some time."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from models.events import Channel
from stream.cli.output import Config, print_line
from stream.cluster.topics import require_topics
from stream.installation.recognition import opened
from stream.log.instructions import give

Which = Annotated[Channel, typer.Argument(help="Channel: email or sms.")]


def pause(channel: Which, config: Config = None) -> None:
    """Send nothing over a channel until `perennial resume`, even if processes are restarted meanwhile.

    New messages over the channel are dropped, with the reason channel_paused.
    Messages that wait for delivery keep waiting. Messages that a provider already
    has cannot be stopped.
    """
    _instruct("pause", channel, config)
    print_line(f"{channel} is paused; perennial resume {channel} ends the pause")


def resume(channel: Which, config: Config = None) -> None:
    """Send over a paused channel again. Waiting messages are sent, unless they have expired."""
    _instruct("resume", channel, config)
    print_line(f"{channel} is no longer paused")


def _instruct(name: str, channel: Channel, config: Config) -> None:
    settings = opened(config)
    connection = settings.connection()
    require_topics(connection, settings.partitions)
    asyncio.run(give(connection, settings.partitions, name, channel))
