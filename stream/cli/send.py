"""``perennial send``: send events of your own, directly into the log or through the HTTP door."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, Protocol

import aiohttp
import orjson
import typer

from models.encoding import is_blank
from models.errors import EventWarning, InvalidEvent, PerennialError
from models.events import Event, Origin
from models.source import Received, Source
from models.units import now_ms
from models.wire import decode, encode
from stream.cli.interruptible import run
from stream.cli.output import Config, Json, print_error, print_json, print_line
from stream.cluster.topics import require_topics
from stream.collector.intake import MAX_BATCH_BYTES
from stream.installation.recognition import opened
from stream.log.event_log import EventLog

MAX_CHUNK = 500
"""Maximum number of events that are sent and acknowledged together. A batch of the HTTP door may have more."""


class DoorRefused(PerennialError):
    """Error for events that the HTTP door refused; the message has the door's answer."""


class InputLine(NamedTuple):
    """A line of the input, and its number from 1."""

    number: int
    content: bytes


class SentEvent(NamedTuple):
    """An event that Kafka has acknowledged."""

    id: str
    user: str
    type: str
    partition: int
    offset: int


class Remark(NamedTuple):
    """A remark about one line: it is not an event, or a detail of it was left out."""

    line: int
    reason: str
    field: str
    found: str
    allowed: str


class SendResult(NamedTuple):
    """Results for all lines.

    Attributes
    ----------
    sent
        Events that Kafka has acknowledged.
    rejected
        Lines that are not events.
    warnings
        Details that were left out of events.
    """

    sent: list[SentEvent]
    rejected: list[Remark]
    warnings: list[Remark]


class Target(Protocol):
    """Destination of events."""

    async def send(self, events: Sequence[Event]) -> list[SentEvent]:
        """Send events, and return when Kafka has acknowledged them all."""

    async def close(self) -> None:
        """Close all connections."""


def send(
    event: Annotated[
        str | None,
        typer.Argument(metavar="JSON|-", help="One event, or - for one event per line of standard input."),
    ] = None,
    config: Config = None,
    http: Annotated[str | None, typer.Option(metavar="URL", help="Send through the HTTP door at this URL.")] = None,
    write_key: Annotated[
        str | None, typer.Option(envvar="PERENNIAL_WRITE_KEY", help="Write key for the HTTP door, if it requires one.")
    ] = None,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test event: no message that it causes reaches a real provider.")
    ] = False,
    json: Json = False,
) -> None:
    """Send an event, wait until Kafka has acknowledged it, and print its id, partition and offset.

    Example: {"type": "click", "user": "u1", "item": "sku1"}

    An event may also be a call of the Segment spec:

    {"type": "track", "event": "Order Completed", "userId": "u1",
    "properties": {"total": 49.9}}
    """
    if event is None:
        if sys.stdin is None or sys.stdin.isatty():
            raise typer.BadParameter(
                """an event is missing, such as '{"type": "click", "user": "u1", "item": "sku1"}'"""
            )
        event = "-"
    lines = _standard_input() if event == "-" else _typed(event)
    target = ThroughDoor(http, write_key) if http else IntoLog(config)
    result = run(_send(lines, target, "test" if test else "live", quiet=json))
    if not result.sent and not result.rejected:
        print_error("nothing to send: standard input has no lines")
    if json:
        print_json({name: [one._asdict() for one in found] for name, found in result._asdict().items()})
    for warning in result.warnings:
        print_error(_shown(warning, "warning: ", numbered=event == "-"))
    for refusal in result.rejected:
        print_error(_shown(refusal, "", numbered=event == "-"))
    if result.rejected:
        raise typer.Exit(2)


def _shown(remark: Remark, kind: str, *, numbered: bool) -> str:
    where = f"line {remark.line}: " if numbered else ""
    path = f"{remark.field}: " if remark.field else ""
    return f"{where}{kind}{path}found {remark.found}; allowed: {remark.allowed}"


async def _send(lines: AsyncIterator[list[InputLine]], target: Target, origin: Origin, *, quiet: bool) -> SendResult:
    result = SendResult([], [], [])
    # The name is unique for this run: equal lines are two events, unless they have the same messageId.
    instance = secrets.token_hex(8)
    try:
        async for chunk in lines:
            events = _valid(chunk, instance, origin, result)
            if not events:
                continue  # no broker is needed to report a mistake in the JSON
            acknowledged = await target.send(events)
            result.sent.extend(acknowledged)
            for one in [] if quiet else acknowledged:
                print_line(f"sent {one.id} ({one.type} of {one.user}): partition {one.partition}, offset {one.offset}")
    finally:
        await target.close()
    return result


def _valid(chunk: Sequence[InputLine], instance: str, origin: Origin, result: SendResult) -> list[Event]:
    """Validate as the HTTP door does, and record in ``result`` the refused lines and the details that were left out."""
    events = []
    for number, content in chunk:
        source = Source(f"send:{instance}", 0, number)
        now = now_ms()
        warnings: list[EventWarning] = []
        try:
            events.append(decode(content, Received(source, now, origin), warnings))
        except InvalidEvent as error:
            allowed = error.allowed
            if error.withdrawal is not None:
                events.append(error.withdrawal)
                allowed += "; the withdrawal of consent in it is still sent"
            result.rejected.append(Remark(number, error.reason, error.field, error.found, allowed))
        else:
            result.warnings.extend(Remark(number, one.reason, one.field, one.found, one.allowed) for one in warnings)
    return events


async def _typed(event: str) -> AsyncIterator[list[InputLine]]:
    # bytes of a terminal that are not UTF-8 are refused later as bad JSON, not raised here
    yield [InputLine(1, event.encode("utf-8", "surrogateescape"))]


async def _standard_input() -> AsyncIterator[list[InputLine]]:
    """Yield the lines that have arrived, at most ``MAX_CHUNK``.

    So ``tail -f ... | perennial send -`` sends each line immediately.
    """
    waiting: asyncio.Queue[InputLine | Exception | None] = asyncio.Queue(MAX_CHUNK)
    loop = asyncio.get_running_loop()

    def put(item: InputLine | Exception | None) -> None:
        asyncio.run_coroutine_threadsafe(waiting.put(item), loop).result()

    def read() -> None:
        try:
            for number, content in enumerate(_lines(sys.stdin.fileno()), 1):
                if not is_blank(content):
                    put(InputLine(number, content))
        except (OSError, ValueError) as error:  # standard input is closed or missing
            put(error)
        put(None)

    # a daemon thread, because a read from a terminal cannot be interrupted, and Ctrl-C must not wait for it
    threading.Thread(target=read, daemon=True).start()
    item = await waiting.get()
    while isinstance(item, InputLine):
        chunk = [item]
        while not waiting.empty() and len(chunk) < MAX_CHUNK and isinstance(item := waiting.get_nowait(), InputLine):
            chunk.append(item)
        yield chunk
        if isinstance(item, InputLine):
            item = await waiting.get()
    if isinstance(item, Exception):
        raise item


def _lines(descriptor: int) -> Iterator[bytes]:
    """Yield the lines of a file, a pipe or a terminal.

    Python's buffer is not used, because its lock must be free when the process ends.
    """
    rest = b""
    while read := os.read(descriptor, 65_536):
        *lines, rest = (rest + read).split(b"\n")
        yield from lines
    if rest:
        yield rest


class IntoLog:
    """The log as a destination; the connection is opened for the first event.

    Parameters
    ----------
    config
        Path of the settings file.
    """

    def __init__(self, config: Path | None) -> None:
        self._config = config
        self._log: EventLog | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._config})"

    async def send(self, events: Sequence[Event]) -> list[SentEvent]:
        """Send events, and return when Kafka has acknowledged them all."""
        if self._log is None:
            self._log = await self._open()
        places = await self._log.append(events)
        return [
            SentEvent(event.id, event.user, event.type, *place) for event, place in zip(events, places, strict=True)
        ]

    async def _open(self) -> EventLog:
        settings = await asyncio.to_thread(opened, self._config)
        connection = settings.connection()
        await asyncio.to_thread(require_topics, connection, settings.partitions)
        log = EventLog(connection, settings.partitions)
        await log.ensure_clock("wall")
        return log

    async def close(self) -> None:
        """Close all connections."""
        if self._log is not None:
            await self._log.close()


class ThroughDoor:
    """An HTTP door as a destination: it gets the events by ``POST /v1/batch``.

    Parameters
    ----------
    url
        URL of the door.
    write_key
        Write key, if the door requires one.
    """

    def __init__(self, url: str, write_key: str | None) -> None:
        self._url = url.rstrip("/")
        self._write_key = write_key
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"

    async def send(self, events: Sequence[Event]) -> list[SentEvent]:
        """Send events, and return when Kafka has acknowledged them all."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        sent: list[SentEvent] = []
        for part in _bodies(events):
            try:
                sent += await self._post(self._session, part)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:  # ValueError: it is not a URL
                why = str(error) or type(error).__name__
                raise DoorRefused(f"no HTTP door answers at {self._url} ({why})") from error
        return sent

    async def _post(self, session: aiohttp.ClientSession, part: Sequence[tuple[Event, bytes]]) -> list[SentEvent]:
        batch = [orjson.Fragment(encoded) for _, encoded in part]
        body = orjson.dumps({"batch": batch, "writeKey": self._write_key})
        async with session.post(f"{self._url}/v1/batch", data=body) as answer:
            content = await answer.read()
        try:
            said = orjson.loads(content)
        except orjson.JSONDecodeError:
            raise DoorRefused(f"{self._url} is not an HTTP door: it answered {answer.status}") from None
        if answer.status != 200:
            error = said.get("error", {})
            why = f"found {error.get('found')}; allowed: {error.get('allowed')}"
            raise DoorRefused(f"the HTTP door at {self._url} answered {answer.status}: {why}")
        sent = []
        for (event, _), result in zip(part, said["results"], strict=True):
            if result["status"] != "accepted":  # it passed the checks here, so the door's checks differ
                raise DoorRefused(f"{self._url} refused {event.id}: {result['field']}: {result['allowed']}")
            sent.append(SentEvent(event.id, event.user, event.type, result["partition"], result["offset"]))
        return sent

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


def _bodies(events: Sequence[Event]) -> list[list[tuple[Event, bytes]]]:
    """Divide events into request bodies that the HTTP door accepts."""
    bodies: list[list[tuple[Event, bytes]]] = [[]]
    size = 0
    for event in events:
        encoded = encode(event)
        if bodies[-1] and size + len(encoded) > MAX_BATCH_BYTES - 1_000:
            bodies.append([])
            size = 0
        bodies[-1].append((event, encoded))
        size += len(encoded) + 1
    return bodies
