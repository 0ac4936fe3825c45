"""``perennial import``: data of the shop that events do not contain."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Annotated

import typer
from kafka import KafkaProducer
from rich.console import Console
from rich.progress import track

from models.encoding import TEXT
from models.recommend.catalogue import IMPORTED_KEY, Catalogue, Item, encode_item
from models.recommend.item_rows import InvalidItems, read_csv, read_json_lines
from stream.cli.output import Config, Json, print_json, print_line
from stream.cluster.connection import Connection
from stream.cluster.topics import require_topics
from stream.installation.recognition import opened
from stream.recommender.reading import reading

app = typer.Typer(help="Import the catalogue.", no_args_is_help=True)

ACKNOWLEDGED_WITHIN_S = 60.0
"""How long Kafka may take to acknowledge the items, seconds."""


@app.callback()
def _import() -> None:
    """Import the catalogue."""


@app.command()
def items(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or JSON Lines (.jsonl); may be compressed (.gz).")],
    replace: Annotated[bool, typer.Option("--replace", help="Withdraw every item that is not in the file.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Import items for sale: id, title, price (in units), categories (separated by | in CSV), stock.

    From the first import on, only items of the catalogue are recommended, and none with stock 0. A file with a mistake
    changes nothing.
    """
    settings = opened(config)
    found = _read(file)
    connection = settings.connection()
    require_topics(connection, settings.partitions)
    records: list[tuple[bytes, bytes | None]] = [(IMPORTED_KEY, b"{}")]
    records += [(item.id.encode(), encode_item(item)) for item in found]
    withdrawn = _withdrawn(connection, found) if replace else []
    records += [(item_id.encode(), None) for item_id in withdrawn]
    _write(connection, records)
    out = sum(item.stock == 0 for item in found)
    if json:
        print_json({"items": len(found), "out_of_stock": out, "withdrawn": len(withdrawn)})
    else:
        also = f", {len(withdrawn)} withdrawn" if replace else ""
        print_line(f"{len(found)} items imported, {out} of them out of stock{also}")


def _read(file: Path) -> list[Item]:
    endings = [ending.lower() for ending in file.suffixes]
    compressed = endings[-1:] == [".gz"]
    kind = (endings[:-1] if compressed else endings)[-1:]
    if kind not in ([".csv"], [".jsonl"], [".ndjson"]):
        raise InvalidItems(str(file), [(0, f"found {file.name}; allowed: a name that ends in .csv, .jsonl or .ndjson")])
    read = read_csv if kind == [".csv"] else read_json_lines
    try:
        lines: IO[str] = (gzip.open if compressed else open)(file, "rt", encoding=TEXT, newline="")
        with lines:
            return read(str(file), lines)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise InvalidItems(str(file), [(0, f"cannot be read: {why}")]) from error


def _withdrawn(connection: Connection, found: Sequence[Item]) -> list[str]:
    catalogue = Catalogue()
    with reading(connection, "items", 1) as reader:
        for record in reader.read_to_end():
            catalogue.apply(record.key or b"", record.value)
    listed = {item.id for item in found}
    return [item_id for item_id in catalogue.ids() if item_id not in listed]


def _write(connection: Connection, records: Iterable[tuple[bytes, bytes | None]]) -> None:
    records = list(records)
    producer = KafkaProducer(**connection.client_options(), acks="all", linger_ms=20)
    with contextlib.closing(producer):
        shown = track(records, "importing", console=Console(stderr=True), transient=True)
        sent = [producer.send(connection.topic("items"), key=key, value=value, partition=0) for key, value in shown]
        producer.flush(ACKNOWLEDGED_WITHIN_S)
        for future in sent:
            future.get(ACKNOWLEDGED_WITHIN_S)
