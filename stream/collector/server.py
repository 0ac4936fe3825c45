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

from models.delivery.suppression_list import SuppressionList
from models.delivery.suppressor import Suppressor
from models.errors import PerennialError
from models.units import now_ms
from stream.cluster.topics import await_topics
from stream.collector.bodies import BodyReader, Memory
from stream.collector.callbacks import TwilioCallbacks
from stream.collector.configuration_watch import ConfigurationWatch
from stream.collector.configured import server_tokens, user_tokens, write_keys
from stream.collector.confirm_links import ConfirmLinks
from stream.collector.consent_choices import ConsentChoices
from stream.collector.cors import Cors
from stream.collector.door import Door
from stream.collector.endpoints import Endpoints, EventEndpoints, HealthEndpoints
from stream.collector.intake import Intake
from stream.collector.link_writer import LinkWriter
from stream.collector.links import LinkParts, UnsubscribeLinks
from stream.collector.preferences import PreferenceLinks
from stream.collector.readers import Readers
from stream.collector.recommendations import Recommendations
from stream.collector.sdk_settings import SdkSettings
from stream.delivery.configured import suppression_hashes, twilio_callback_token, unsubscribe_signer
from stream.log.event_log import EventLog
from stream.lookup.identity import await_identity
from stream.lookup.owners import Owners
from stream.processes.exposition import expose
from stream.settings.loading import Settings
from stream.settings.worker_addresses import worker_addresses
from stream.suppressions.watch import SuppressionWatch

logger = logging.getLogger(__name__)

FINISH_WITHIN_S = 15.0
"""How long open requests may take to finish when the process stops, seconds."""


class CannotListen(PerennialError):
    """The door cannot listen on its address: choose another ``http.port``, or stop the program that uses it."""


def run(settings: Settings, announce: Callable[[str], None] = logger.info) -> None:
    """Serve until SIGTERM or SIGINT.

    Parameters
    ----------
    settings
        Settings of the installation.
    announce
        Called with the door's address once it accepts events.

    Raises
    ------
    TopicsNotReady
        The topics are missing; nothing has been served.
    WrongClock
        A replay or a simulation feeds the log, so live events do not belong in it.
    CannotListen
        Another program listens on the door's address.
    """
    connection = settings.connection()
    await_topics(connection, settings.partitions)
    asyncio.run(_serve(settings, announce))


async def _serve(settings: Settings, announce: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watch = ConfigurationWatch(settings.connection())
    async with (
        EventLog(settings.connection(), settings.partitions) as event_log,
        _following(settings) as suppressions,
        _running(watch.follow(), "configuration"),
    ):
        await event_log.ensure_clock("wall")
        async with _owners(settings) as owners:
            endpoints = _endpoints(settings, event_log, watch, suppressions, owners)
            door = Door(endpoints, Cors(settings.sections.http.allowed_origins))
            await _answer(door, settings, announce, stop)


async def _answer(door: Door, settings: Settings, announce: Callable[[str], None], stop: asyncio.Event) -> None:
    """Answer requests until ``stop`` is set, and finish the open ones."""
    http, metrics = settings.sections.http, settings.sections.metrics
    runner = door.runner(shutdown_timeout=FINISH_WITHIN_S)
    exposition = None
    await runner.setup()
    try:
        await _listen(web.TCPSite(runner, http.host, http.port), settings)
        if metrics.collector is not None:
            exposition = expose(metrics.collector, metrics.host)
        host, port = runner.addresses[0][:2]
        announce(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        await stop.wait()
    finally:
        await runner.cleanup()
        if exposition is not None:
            exposition.close()


def _endpoints(
    settings: Settings, event_log: EventLog, watch: ConfigurationWatch, suppressions: SuppressionWatch, owners: Owners
) -> list[Endpoints]:
    """Read the door's keys and tokens, and return its addresses."""
    http, keys, memory = settings.sections.http, write_keys(settings), Memory()
    intake = Intake(
        secrets.token_hex(8),  # no other door ever has this name, so the ids made from it are unique
        trust_browser_orders=http.trust_browser_orders,
        in_use=lambda: watch.configuration,
    )
    readers = Readers(user_tokens(settings), server_tokens(settings), now_ms)
    links = LinkParts(
        LinkWriter(event_log, intake, now_ms, suppressions.listed),
        unsubscribe_signer(settings),
        ConsentChoices(owners, suppressions.listed),
        http.purpose_names,
    )
    endpoints: list[Endpoints] = [
        EventEndpoints(event_log, intake, keys, now_ms, BodyReader(memory)),
        HealthEndpoints(event_log, memory),
        SdkSettings(keys, http.public_url),
        Recommendations(readers, owners),
        UnsubscribeLinks(links),
        PreferenceLinks(links),
        ConfirmLinks(event_log, links.signer, now_ms),
    ]
    twilio = twilio_callback_token(settings)
    if twilio is not None:
        sms = Suppressor("sms", suppressions.listed, suppressions.behind)
        endpoints.append(TwilioCallbacks(event_log, twilio, http.public_url or "", now_ms, sms))
    return endpoints


@asynccontextmanager
async def _owners(settings: Settings) -> AsyncIterator[Owners]:
    """Wait for the broker, and yield the client of this installation's workers."""
    identity = await await_identity(settings.connection())
    workers = worker_addresses(settings.sections.http, settings.sections.worker)
    owners = Owners(workers, settings.partitions, lambda: identity)
    try:
        yield owners
    finally:
        await owners.close()


@asynccontextmanager
async def _following(settings: Settings) -> AsyncIterator[SuppressionWatch]:
    """Follow the suppression list, so that the time of an entry never decreases when the door writes it again."""
    watch = SuppressionWatch(
        settings.connection(),
        SuppressionList(suppression_hashes(settings)),
        is_judged=twilio_callback_token(settings)
        is not None,  # reports of other providers do not come through the door
    )
    async with _running(watch.follow(), "suppressions"):
        yield watch


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run a task until the end of the block."""
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
        raise CannotListen(
            f"the HTTP door cannot listen on {http.host}:{http.port} ({error.strerror or error}); "
            f"the port comes from {settings.given.source('http.port')}; "
            "set http.host or http.port (--port), or stop the program that listens there"
        ) from error
