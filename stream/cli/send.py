"""``perennial send``: events of your own, straight into the log or through the HTTP door."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, Protocol

import typer

from models.encoding import is_blank
from models.errors import EventWarning, InvalidEvent, PerennialError
from models.units import now_ms
from stream.cli.interruptible import run
from stream.cli.output import Config, Json, print_error, print_json, print_line

if TYPE_CHECKING:
    import aiohttp

    from models.events import Event, Origin
    from stream.log.event_log import EventLog

CHUNK = 500
"""Events that are acknowledged together; also what fits into a batch of the HTTP door."""


class DoorRefused(PerennialError):
    """The HTTP door did not take the events: see what it said."""


class Line(NamedTuple):
    """What was typed, and where: the number from 1."""

    number: int
    content: bytes


class Sent(NamedTuple):
    """One event that Kafka has acknowledged."""

    id: str
    user: str
    type: str
    partition: int
    offset: int


class Remark(NamedTuple):
    """A remark about one line: it is no event, or a detail of it was left out."""

    line: int
    reason: str
    field: str
    found: str
    allowed: str


class Result(NamedTuple):
    """Results for all lines.

    Attributes
    ----------
    sent
        Events that Kafka has acknowledged.
    rejected
        Lines that are no events.
    warnings
        Details that were left out of events.
    """

    sent: list[Sent]
    rejected: list[Remark]
    warnings: list[Remark]


class Target(Protocol):
    """Where events go."""

    async def send(self, events: Sequence[Event]) -> list[Sent]:
        """Return when Kafka has them all."""

    async def close(self) -> None:
        """Give up connections."""


def send(
    event: Annotated[
        str | None,
        typer.Argument(metavar="[JSON|-]", help="One event, or - for one a line from standard input, as from a pipe."),
    ] = None,
    config: Config = None,
    http: Annotated[
        str | None, typer.Option(metavar="URL", help="Send through the HTTP door that stands here.")
    ] = None,
    write_key: Annotated[
        str | None, typer.Option(envvar="PERENNIAL_WRITE_KEY", help="Of the HTTP door, where it asks for one.")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Nothing that it causes may reach a real provider.")] = False,
    json: Json = False,
) -> None:
    """Send an event and wait until Kafka has it; prints its id, partition and offset.

    An event is {"type": "click", "user": "u1", "item": "sku1"}, or a call of the Segment spec such as
    {"type": "track", "event": "Order Completed", "userId": "u1", "properties": {"total": 49.9}}.
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
        print_error("nothing to send: there is no line on standard input")
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


async def _send(lines: AsyncIterator[list[Line]], target: Target, origin: Origin, *, quiet: bool) -> Result:
    result = Result([], [], [])
    # A name for this one run: what is typed twice is two events, unless it says the same messageId twice.
    instance = secrets.token_hex(8)
    try:
        async for chunk in lines:
            events = _valid(chunk, instance, origin, result)
            if not events:
                continue  # a mistake in the JSON needs no broker to be told
            acknowledged = await target.send(events)
            result.sent.extend(acknowledged)
            for one in [] if quiet else acknowledged:
                print_line(f"sent {one.id} ({one.type} of {one.user}): partition {one.partition}, offset {one.offset}")
    finally:
        await target.close()
    return result


def _valid(chunk: Sequence[Line], instance: str, origin: Origin, result: Result) -> list[Event]:
    """Validate with the doors' code; note in ``result`` which lines are no events, and what was left out of others."""
    from models.source import Received, Source
    from models.wire import decode

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
                allowed += "; the withdrawal of consent in it is sent all the same"
            result.rejected.append(Remark(number, error.reason, error.field, error.found, allowed))
        else:
            result.warnings.extend(Remark(number, one.reason, one.field, one.found, one.allowed) for one in warnings)
    return events


async def _typed(event: str) -> AsyncIterator[list[Line]]:
    # what a terminal passes on that is no UTF-8 is refused as bad JSON, not raised here
    yield [Line(1, event.encode("utf-8", "surrogateescape"))]


async def _standard_input() -> AsyncIterator[list[Line]]:
    """Take what waits, up to ``CHUNK`` lines: ``tail -f ... | perennial send -`` sends each line as it comes."""
    waiting: asyncio.Queue[Line | Exception | None] = asyncio.Queue(CHUNK)
    loop = asyncio.get_running_loop()

    def put(item: Line | Exception | None) -> None:
        asyncio.run_coroutine_threadsafe(waiting.put(item), loop).result()

    def read() -> None:
        try:
            for number, content in enumerate(_lines(sys.stdin.fileno()), 1):
                if not is_blank(content):
                    put(Line(number, content))
        except (OSError, ValueError) as error:  # it is closed, or is none
            put(error)
        put(None)

    # a daemon: nothing can interrupt a read from a terminal, and Ctrl-C must not wait for it
    threading.Thread(target=read, daemon=True).start()
    item = await waiting.get()
    while isinstance(item, Line):
        chunk = [item]
        while not waiting.empty() and len(chunk) < CHUNK and isinstance(item := waiting.get_nowait(), Line):
            chunk.append(item)
        yield chunk
        if isinstance(item, Line):
            item = await waiting.get()
    if isinstance(item, Exception):
        raise item


def _lines(descriptor: int) -> Iterator[bytes]:
    """Lines of a file, a pipe or a terminal, without Python's buffer: its lock must be free when the process ends."""
    rest = b""
    while read := os.read(descriptor, 65_536):
        *lines, rest = (rest + read).split(b"\n")
        yield from lines
    if rest:
        yield rest


class IntoLog:
    """Straight into ``events``; opened with the first event.

    Parameters
    ----------
    config
        Settings file.
    """

    def __init__(self, config: Path | None) -> None:
        self._config = config
        self._log: EventLog | None = None

    async def send(self, events: Sequence[Event]) -> list[Sent]:
        """Return when Kafka has them all."""
        if self._log is None:
            self._log = await self._open()
        places = await self._log.append(events)
        return [Sent(event.id, event.user, event.type, *place) for event, place in zip(events, places, strict=True)]

    async def _open(self) -> EventLog:
        from stream.cluster.topics import require_topics
        from stream.installation.recognition import opened
        from stream.log.event_log import EventLog

        settings = await asyncio.to_thread(opened, self._config)
        await asyncio.to_thread(require_topics, settings.connection(), settings.partitions)
        log = EventLog(settings.connection(), settings.partitions)
        await log.ensure_clock("wall")
        return log

    async def close(self) -> None:
        """Give up connections."""
        if self._log is not None:
            await self._log.close()


class ThroughDoor:
    """Through ``POST /v1/batch`` of an HTTP door.

    Parameters
    ----------
    url
        Where it stands.
    write_key
        Where it asks for one.
    """

    def __init__(self, url: str, write_key: str | None) -> None:
        self._url = url.rstrip("/")
        self._write_key = write_key
        self._session: aiohttp.ClientSession | None = None

    async def send(self, events: Sequence[Event]) -> list[Sent]:
        """Return when Kafka has them all."""
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        sent: list[Sent] = []
        for part in _bodies(events):
            try:
                sent += await self._post(self._session, part)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:  # ValueError: what is no URL
                why = str(error) or type(error).__name__
                raise DoorRefused(f"no HTTP door answers at {self._url} ({why})") from error
        return sent

    async def _post(self, session: aiohttp.ClientSession, part: Sequence[tuple[Event, bytes]]) -> list[Sent]:
        import orjson

        batch = [orjson.Fragment(encoded) for _, encoded in part]
        body = orjson.dumps({"batch": batch, "writeKey": self._write_key})
        async with session.post(f"{self._url}/v1/batch", data=body) as answer:
            content = await answer.read()
        try:
            said = orjson.loads(content)
        except orjson.JSONDecodeError:
            raise DoorRefused(f"what stands at {self._url} is no HTTP door: it answered {answer.status}") from None
        if answer.status != 200:
            error = said.get("error", {})
            why = f"found {error.get('found')}; allowed: {error.get('allowed')}"
            raise DoorRefused(f"the HTTP door at {self._url} answered {answer.status}: {why}")
        sent = []
        for (event, _), result in zip(part, said["results"], strict=True):
            if result["status"] != "accepted":  # it passed the same checks here: another version, or a larger limit
                raise DoorRefused(f"{self._url} refused {event.id}: {result['field']}: {result['allowed']}")
            sent.append(Sent(event.id, event.user, event.type, result["partition"], result["offset"]))
        return sent

    async def close(self) -> None:
        """Give up connections."""
        if self._session is not None:
            await self._session.close()


def _bodies(events: Sequence[Event]) -> list[list[tuple[Event, bytes]]]:
    """Cut events into bodies that the door takes."""
    from models.wire import encode
    from stream.collector.intake import MAX_BATCH_BYTES

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
