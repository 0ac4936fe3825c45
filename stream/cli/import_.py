"""``perennial import``: data of the shop that events do not contain, and people from another tool."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.console import Console
from rich.progress import track

from models.batch import Output
from models.encoding import TEXT
from models.recommend.catalogue import IMPORTED_KEY, Catalogue, Item, encode_item
from models.recommend.item_rows import InvalidItems, read_csv, read_json_lines
from stream.cli.import_runs import list_, undo
from stream.cli.import_suppressions import suppressions
from stream.cli.import_users import consent, people
from stream.cli.interruptible import run
from stream.cli.output import Config, Json, print_json, print_line
from stream.cluster.connection import Connection
from stream.cluster.topics import require_topics
from stream.installation.recognition import opened
from stream.log.event_log import EventLog
from stream.recommender.reading import reading

app = typer.Typer(
    help="Import items for sale, or people, consent and suppressions from another tool.",
    no_args_is_help=True,
    add_completion=False,
)

TOPIC = "items"
PORTION = 1_000
"""Number of items that are written at a time."""
ACKNOWLEDGED_WITHIN_S = 60.0
"""How long Kafka may take to acknowledge one portion, seconds."""


@app.callback()
def _import() -> None:
    """Import items for sale, or people, consent and suppressions from another tool."""


app.command()(people)
app.command()(consent)
app.command()(suppressions)
app.command("list")(list_)
app.command()(undo)


@app.command()
def items(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or JSON Lines (.jsonl); may be compressed (.gz).")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove every item that is not in the file from the catalogue.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Import items for sale: id, title, price (9.50), categories (separated by | in CSV), stock.

    After the first import, only items of the catalogue are recommended, and none
    with stock 0. If the file has a mistake, nothing is imported.
    """
    settings = opened(config)
    found = _read(file)
    connection = settings.connection()
    require_topics(connection, settings.partitions)
    records = [Output(TOPIC, IMPORTED_KEY, b"{}")]
    records += [Output(TOPIC, item.id.encode(), encode_item(item)) for item in found]
    withdrawn = _withdrawn(connection, found) if replace else []
    records += [Output(TOPIC, item_id.encode(), None) for item_id in withdrawn]
    run(_write(connection, settings.partitions, records))
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
    with reading(connection, TOPIC, 1) as reader:
        for record in reader.read_to_end():
            catalogue.apply(record.key or b"", record.value)
    listed = {item.id for item in found}
    return [item_id for item_id in catalogue.ids() if item_id not in listed]


async def _write(connection: Connection, partitions: int, outputs: Sequence[Output]) -> None:
    portions = range(0, len(outputs), PORTION)
    async with EventLog(connection, partitions, timeout_s=ACKNOWLEDGED_WITHIN_S) as log:
        for begin in track(portions, "importing", console=Console(stderr=True), transient=True):
            await log.write(outputs[begin : begin + PORTION])
