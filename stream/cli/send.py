"""``perennial send``: events of your own, straight into the log or through the HTTP door."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from models.errors import InvalidEvent, PerennialError
from stream.cli.interruptible import run
from stream.cli.output import Config, Json, print_error, print_json, print_line

if TYPE_CHECKING:
    from models.events import Event, Origin

CHUNK = 500
"""Events that are acknowledged together; also what fits into a batch of the HTTP door."""


class DoorRefused(PerennialError):
    """The HTTP door did not take the events: see what it said."""


class Line(NamedTuple):
    """One event as it was typed.

    Attributes
    ----------
    number
        From 1.
    event
        Validated.
    """

    number: int
    event: Event


class Sent(NamedTuple):
    """One event that Kafka has acknowledged."""

    id: str
    user: str
    type: str
    partition: int
    offset: int


class Rejected(NamedTuple):
    """One line that is no event, and why."""

    line: int
    reason: str
    field: str
    found: str
    allowed: str


def send(
    event: Annotated[str, typer.Argument(metavar="JSON|-", help="One event, or - for one a line from standard input.")],
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
    lines = enumerate(sys.stdin, 1) if event == "-" else iter([(1, event)])
    origin: Origin = "test" if test else "live"
    rejected: list[Rejected] = []
    read = _valid(lines, origin, rejected)
    sent: list[Sent] = []
    tell = sent.extend if json else _show
    run(_through_door(http, write_key, read, tell) if http else _into_log(config, read, tell))
    if json:
        print_json({"sent": [one._asdict() for one in sent], "rejected": [one._asdict() for one in rejected]})
    else:
        for refusal in rejected:
            where = f"line {refusal.line}: " if event == "-" else ""
            path = f"{refusal.field}: " if refusal.field else ""
            print_error(f"{where}{path}found {refusal.found}; allowed: {refusal.allowed}")
    if rejected:
        raise typer.Exit(2)


def _show(sent: Sequence[Sent]) -> None:
    for one in sent:
        print_line(f"sent {one.id} ({one.type} of {one.user}): partition {one.partition}, offset {one.offset}")


def _valid(lines: Iterable[tuple[int, str]], origin: Origin, rejected: list[Rejected]) -> Iterator[Line]:
    """Validate with the doors' code; what is no event goes to ``rejected`` instead."""
    from models.source import Source
    from models.wire import decode

    # A name for this one run: what is typed twice is two events, unless it says the same messageId twice.
    topic = f"send:{secrets.token_hex(8)}"
    for number, line in lines:
        if not line.strip():
            continue
        now = time.time_ns() // 1_000_000
        try:
            yield Line(number, decode(_utf8(line), source=Source(topic, 0, number), received_at=now, origin=origin))
        except InvalidEvent as error:
            rejected.append(Rejected(number, error.reason, error.field, error.found, error.allowed))


def _utf8(line: str) -> bytes:
    # what a terminal passes on that is no UTF-8 is refused as bad JSON, not raised here
    return line.encode("utf-8", "surrogateescape")


def _chunks(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while chunk := list(itertools.islice(lines, CHUNK)):
        yield chunk


Tell = Callable[[Sequence[Sent]], None]
"""Told of each chunk once it is acknowledged."""


async def _into_log(config: Path | None, lines: Iterator[Line], tell: Tell) -> None:
    from stream.event_log import EventLog
    from stream.settings import load
    from stream.topics import require_topics

    log: EventLog | None = None
    try:
        for chunk in _chunks(lines):
            if log is None:  # only now: a mistake in the JSON needs no broker to be told
                settings = load(config)
                connection = settings.connection()
                await asyncio.to_thread(require_topics, connection, settings.partitions)
                log = EventLog(connection, settings.partitions)
                await log.ensure_clock("wall")
            places = await log.append([line.event for line in chunk])
            tell(
                [
                    Sent(event.id, event.user, event.type, *place)
                    for (_, event), place in zip(chunk, places, strict=True)
                ]
            )
    finally:
        if log is not None:
            await log.close()


async def _through_door(url: str, write_key: str | None, lines: Iterator[Line], tell: Tell) -> None:
    import aiohttp

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        for chunk in _chunks(lines):
            for part in _fitting(chunk):
                try:
                    tell(await _post(session, url, write_key, part))
                except (aiohttp.ClientError, TimeoutError) as error:
                    raise DoorRefused(f"no HTTP door answers at {url} ({error or type(error).__name__})") from error


def _fitting(chunk: Sequence[Line]) -> Iterator[list[tuple[Event, bytes]]]:
    """Cut a chunk into bodies that the door takes."""
    from models.wire import encode
    from stream.collector.intake import BATCH_BYTES

    part: list[tuple[Event, bytes]] = []
    size = 0
    for line in chunk:
        encoded = encode(line.event)
        if part and size + len(encoded) > BATCH_BYTES - 1_000:
            yield part
            part, size = [], 0
        part.append((line.event, encoded))
        size += len(encoded) + 1
    yield part


async def _post(session: Any, url: str, write_key: str | None, part: list[tuple[Event, bytes]]) -> list[Sent]:
    import orjson

    content = orjson.dumps({"batch": [orjson.Fragment(encoded) for _, encoded in part], "writeKey": write_key})
    async with session.post(f"{url.rstrip('/')}/v1/batch", data=content) as answer:
        body = await answer.read()
        try:
            said = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise DoorRefused(f"what stands at {url} is no HTTP door: it answered {answer.status}") from None
    if answer.status != 200:
        error = said.get("error", {})
        raise DoorRefused(
            f"{url} answered {answer.status}: found {error.get('found')}; allowed: {error.get('allowed')}"
        )
    sent = []
    for (event, _), result in zip(part, said["results"], strict=True):
        if result["status"] != "accepted":  # the same checks passed here: another version, or a larger limit
            raise DoorRefused(f"{url} refused {event.id}: {result['field']}: {result['allowed']}")
        sent.append(Sent(event.id, event.user, event.type, result["partition"], result["offset"]))
    return sent
