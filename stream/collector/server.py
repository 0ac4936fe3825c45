"""``perennial collector``: the HTTP door as a process."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from models.delivery.suppression import SuppressionList
from models.delivery.suppressor import Suppressor
from models.errors import PerennialError
from models.units import now_ms
from stream.cluster.topics import await_topics
from stream.collector.configuration_watch import ConfigurationWatch
from stream.collector.configured import server_tokens, user_tokens, write_keys
from stream.collector.cors import Cors
from stream.collector.door import Door
from stream.collector.intake import Intake
from stream.collector.readers import Readers
from stream.collector.recommendations import Recommendations
from stream.delivery.configured import suppression_hashes, twilio_callback_token, unsubscribe_signer
from stream.log.event_log import EventLog
from stream.lookup.identity import await_identity
from stream.lookup.owners import Owners
from stream.processes.exposition import expose
from stream.settings.loading import Settings
from stream.settings.worker_addresses import worker_addresses
from stream.suppressions.watch import SuppressionWatch

log = logging.getLogger(__name__)

FINISH_WITHIN_S = 15.0
"""How long requests that are being answered may take at the end."""


class PortTaken(PerennialError):
    """The door cannot listen there: choose another ``http.port``, or stop what does."""


def run(settings: Settings, announce: Callable[[str], None] = log.info) -> None:
    """Serve until SIGTERM or SIGINT.

    Parameters
    ----------
    settings
        Of the installation.
    announce
        Called with the door's address once it takes events.

    Raises
    ------
    TopicsNotReady
        Before anything is served.
    WrongClock
        The log is fed by a replay or a simulation: live events do not belong into it.
    PortTaken
        Something listens there.
    """
    connection = settings.connection()
    await_topics(connection, settings.partitions)
    asyncio.run(_serve(settings, announce))


async def _serve(settings: Settings, announce: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    exposition = None
    twilio = twilio_callback_token(settings)
    watch = ConfigurationWatch(settings.connection())
    async with (
        EventLog(settings.connection(), settings.partitions) as event_log,
        _following(settings) as suppressions,
        _running(watch.follow(), "configuration"),
    ):
        await event_log.ensure_clock("wall")
        # A name that no other door ever has: ids of events that bring none are made from it.
        intake = Intake(
            secrets.token_hex(8),
            trust_browser_orders=settings.sections.http.trust_browser_orders,
            in_use=lambda: watch.configuration,
        )
        identity = await await_identity(settings.connection())
        owners = Owners(
            worker_addresses(settings.sections.http, settings.sections.worker), settings.partitions, lambda: identity
        )
        door = Door(
            event_log,
            intake,
            unsubscribe_signer(settings),
            write_keys=write_keys(settings),
            cors=Cors(settings.sections.http.allowed_origins),
            recommender=Recommendations(Readers(user_tokens(settings), server_tokens(settings), now_ms), owners),
            twilio_token=twilio,
            sms=None if twilio is None else Suppressor("sms", suppressions.listed, suppressions.behind),
            listed=suppressions.listed,
            public_url=settings.sections.http.public_url,
        )
        runner = door.runner(shutdown_timeout=FINISH_WITHIN_S)
        await runner.setup()
        try:
            await _listen(web.TCPSite(runner, settings.sections.http.host, settings.sections.http.port), settings)
            if settings.sections.metrics.collector is not None:
                exposition = expose(settings.sections.metrics.collector, settings.sections.metrics.host)
            host, port = runner.addresses[0][:2]
            announce(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
            await stop.wait()
        finally:
            await runner.cleanup()
            await owners.close()
            if exposition is not None:
                exposition.close()


@asynccontextmanager
async def _following(settings: Settings) -> AsyncIterator[SuppressionWatch]:
    """Follow the suppression list: what the door writes to it never moves back the time of an entry."""
    watch = SuppressionWatch(settings.connection(), SuppressionList(suppression_hashes(settings)))
    async with _running(watch.follow(), "suppressions"):
        yield watch


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run something beside the door until the end of the block."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _listen(site: web.TCPSite, settings: Settings) -> None:
    try:
        await site.start()
    except OSError as error:
        http = settings.sections.http
        raise PortTaken(
            f"the HTTP door cannot listen on {http.host}:{http.port} ({error.strerror or error}), "
            f"which comes from {settings.given.source('http.port')}; set http.host or http.port (--port), or stop what "
            "listens there"
        ) from error
