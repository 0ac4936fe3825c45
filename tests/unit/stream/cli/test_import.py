"""``perennial import items`` writes the catalogue to its topic, or names a mistake with its line and writes nothing."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from models.recommend.catalogue import Catalogue
from stream.cli import run
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.installation.embedded_broker import EmbeddedBroker
from stream.recommender.reading import reading

PREFIX = "import."


@pytest.fixture(scope="module")
def connection(embedded_broker: EmbeddedBroker) -> Connection:
    connection = embedded_broker.connection(PREFIX)
    topics.create(connection, 4)
    return connection


@pytest.fixture
def settings(connection: Connection, tmp_path: Path) -> Path:
    file = tmp_path / "perennial.yaml"
    file.write_text(f"version: 1\nkafka: {{servers: '{connection.servers}', embedded: true, prefix: {PREFIX}}}\n")
    return file


def catalogue_of(connection: Connection) -> Catalogue:
    catalogue = Catalogue()
    with reading(connection, "items", 1) as reader:
        for record in reader.read_to_end():
            catalogue.apply(record.key or b"", record.value)
    return catalogue


def test_items_of_a_file_become_the_catalogue(
    connection: Connection, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "items.csv.gz"
    file.write_bytes(gzip.compress("id,title,price,stock\nmug,Mug,9.50,3\npot,Pot,20,0\n".encode("utf-8-sig")))
    code = run(["import", "items", str(file), "--config", str(settings), "--json"])
    catalogue = catalogue_of(connection)

    assert code == 0
    assert orjson.loads(capsys.readouterr().out) == {"items": 2, "out_of_stock": 1, "withdrawn": 0}
    assert [catalogue.sells(item) for item in ("mug", "pot", "pan")] == [True, False, False]


def test_replacing_withdraws_items_that_are_not_in_the_file(
    connection: Connection, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    first.write_text('{"id": "old"}\n{"id": "kept"}\n')
    second.write_text('{"id": "kept"}\n{"id": "new"}\n')
    assert run(["import", "items", str(first), "--config", str(settings)]) == 0
    assert run(["import", "items", str(second), "--replace", "--config", str(settings)]) == 0
    catalogue = catalogue_of(connection)

    assert [catalogue.sells(item) for item in ("old", "kept", "new")] == [False, True, True]
    assert "2 items imported, 0 of them out of stock" in capsys.readouterr().out


def test_a_file_with_a_mistake_changes_nothing(
    connection: Connection, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text('{"id": "never"}\n{"id": "x", "price": "dear"}\n')
    code = run(["import", "items", str(file), "--config", str(settings)])
    said = capsys.readouterr().err

    assert code == 2
    assert f"{file}: line 2: price: found 'dear'; allowed: 0 to" in said
    assert not catalogue_of(connection).sells("never")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("items.xml", b"", "allowed: a name that ends in .csv, .jsonl or .ndjson"),
        ("items.csv.gz", b"not gzip", "cannot be read"),
        ("items.csv", b"id\n\xff\n", "cannot be read"),
    ],
)
def test_an_unreadable_file_is_reported_in_one_line(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    code = run(["import", "items", str(tmp_path / name), "--config", str(settings)])
    error = capsys.readouterr().err

    assert code == 2
    assert said in error
    assert error.count("\n") == 1


def test_a_missing_file_gives_exit_code_two(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", "items", "nowhere.csv", "--config", str(settings)]) == 2
    assert "No such file" in capsys.readouterr().err
