"""``perennial import people``, ``consent``, ``list`` and ``undo``: what they show, write and refuse."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from models.events import Event, decode_event
from models.log import is_control
from stream.cli import run
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.installation.embedded_broker import EmbeddedBroker
from stream.recommender.reading import reading

_numbers = itertools.count()
PEOPLE = """Customer_ID;E-Mail;Age;Orders;Total Spent;Last Order;Color
c1;ada@example.org;36;3;149,70 EUR;2026-05-01;red
c2;not an address;;;;;blue
c3;bob@example.org;many;;;;
anonymous:x;eve@example.org;;;;;
c4;"eve
@example.org";7
"""
MAP = "user=Customer_ID,email=E-Mail,age:number=Age"


@pytest.fixture
def connection(embedded_broker: EmbeddedBroker) -> Connection:
    """A new installation."""
    prefix = f"import{os.getpid()}-{next(_numbers)}."
    made = embedded_broker.connection(prefix)
    topics.create(made, 1)
    return made


@pytest.fixture
def call(connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """Run a command with its words, and return its exit code, output and errors."""
    monkeypatch.setenv("LIST_SECRET", "0123456789abcdef")
    settings = tmp_path / "perennial.yaml"
    settings.write_text(
        "version: 1\n"
        f"kafka: {{servers: '{connection.servers}', embedded: true, prefix: {connection.prefix}, partitions: 1}}\n"
        "delivery: {suppression_secrets: [{env: LIST_SECRET}]}\n"
    )

    def called(*words: str) -> tuple[int, str, str]:
        code = run(["import", *words, "--config", str(settings)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return called


def written(connection: Connection) -> list[Event]:
    """Return the events of the log."""
    with reading(connection, "events", 1) as reader:
        return [decode_event(one.value or b"") for one in reader.read_to_end() if not is_control(one.key)]


def table(folder: Path, content: str, name: str = "people.csv") -> str:
    file = folder / name
    file.write_text(content, encoding="utf-8")
    return str(file)


def test_a_dry_run_shows_everything_and_writes_nothing(call: Any, connection: Connection, tmp_path: Path) -> None:
    file = table(tmp_path, PEOPLE)

    code, out, _ = call("people", file, "--map", MAP, "--decimal-comma", "--json")

    said = orjson.loads(out)
    assert (code, said["written"], said["state"]) == (0, False, "dry run")
    assert {name: said["counts"][name] for name in ("read", "new", "refused", "left_out")} == {
        "read": 5, "new": 2, "refused": 3, "left_out": 1,
    }  # fmt: skip
    assert said["refused_by_reason"] == {"bad_number": 1, "bad_user": 1, "wrong_width": 1}
    assert [(one["line"], one["column"]) for one in said["refused_lines"]] == [(4, "Age"), (5, "Customer_ID"), (6, "")]
    assert [(one["line"], one["column"], one["reason"]) for one in said["left_out_lines"]] == [
        (3, "E-Mail", "bad_email")
    ]
    assert (said["recognised"], said["unused"]) == (["Orders", "Total Spent", "Last Order"], ["Color"])
    assert written(connection) == []


def test_refused_lines_stop_an_import_unless_they_are_skipped(
    call: Any, connection: Connection, tmp_path: Path
) -> None:
    words = ("people", table(tmp_path, PEOPLE), "--map", MAP, "--decimal-comma", "--yes")

    code, _, err = call(*words)
    assert (code, written(connection)) == (2, [])
    assert "3 lines refused; nothing was written (see --skip-bad)" in err
    assert "line 4: column 'Age': found 'many'; allowed: a number such as 7 or 7.5" in err

    code, out, _ = call(*words, "--skip-bad", "--by", "Ada")
    first, second = written(connection)
    assert code == 0, out
    assert (first.user, first.type, first.traits) == ("c1", "identify", {"email": "ada@example.org", "age": 36})
    assert first.imported is not None
    assert first.imported.totals is not None
    assert first.imported.totals.spent == {"EUR": 149_700_000}
    assert (second.user, second.traits, first.origin) == ("c2", {}, "live")

    (run_,) = orjson.loads(call("list", "--json")[1])
    assert (run_["id"], run_["by"], run_["state"]) == (first.imported.run, "Ada", "done")
    assert run_["counts"]["written"] == 2


def test_the_same_file_is_imported_once(call: Any, connection: Connection, tmp_path: Path) -> None:
    file = table(tmp_path, "user,email\nc1,ada@example.org\nc1,ada@example.org\n")

    first, second = call("people", file, "--yes")[1], call("people", file, "--yes")[1]

    assert "1 repeated" in first
    assert "this file was imported before" in second
    assert len(written(connection)) == 1


def test_consent_needs_suppressions_first_and_grants_need_source_time_and_text(
    call: Any, connection: Connection, tmp_path: Path
) -> None:
    content = (
        "user,status,confirm_time\nc1,subscribed,2026-04-01T10:00Z\nc2,unsubscribed,\nc3,subscribed,\nc4,?,\nc5,,\n"
    )
    file, text = table(tmp_path, content), table(tmp_path, "Yes, send me news.", "news.txt")

    code, _, err = call("consent", file, "--channel", "email")
    assert (code, "no suppressions were imported yet" in err) == (2, True)

    bare = orjson.loads(call("consent", file, "--channel", "email", "--no-suppressions", "--json")[1])
    assert bare["refused_by_reason"] == {"bad_consent": 1, "no_source": 1, "no_time": 1}

    words = ("--channel", "email", "--no-suppressions", "--text", text, "--source", "old shop", "--skip-bad", "--yes")
    code, out, err = call("consent", file, *words)
    grant, withdrawal = written(connection)
    assert code == 0, err
    assert (grant.granted, grant.channel, grant.reason, grant.stated_at) == (
        True,
        "email",
        "old shop",
        1_775_037_600_000,
    )
    assert (grant.text or "").startswith("news ")
    assert grant.at > grant.stated_at
    assert (withdrawal.granted, withdrawal.user) == (False, "c2")
    assert "1 grants, 1 withdrawals" in out
    assert orjson.loads(call("list", "--json")[1])[0]["text"] == "Yes, send me news."


def test_a_file_without_a_column_for_the_user_says_how_to_name_one(call: Any, tmp_path: Path) -> None:
    code, _, err = call("people", table(tmp_path, "Email Address,First Name\na@example.org,Ada\n"))

    assert code == 2
    assert "line 1: found no column for user" in err
    assert "--map 'user=Email Address'" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--map", "user"), "--map: found 'user'"),
        (("--map", "user=Nothing"), "found the column 'Nothing'; allowed: one of id, email"),
        (("--map", "user=id,age:date=email"), "found 'age:date'; allowed: age with :text, :number, :bool"),
        (("--timezone", "Mars"), "--timezone: found 'Mars'"),
        (("--currency", "EURO"), "--currency: found 'EURO'"),
    ],
)
def test_wrong_options_are_explained(call: Any, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    code, _, err = call("people", table(tmp_path, "id,email\nc1,a@example.org\n"), *words)

    assert (code, said in err) == (2, True), err


def test_a_file_in_another_encoding_names_the_line(call: Any, connection: Connection, tmp_path: Path) -> None:
    file = tmp_path / "latin.csv"
    file.write_bytes("id,firstName\nc1,Ada\nc2,Zoë\n".encode("latin-1"))

    code, _, err = call("people", str(file))
    assert code == 2
    assert "latin.csv: line 3: found the byte 0xeb; allowed: text in utf-8; state --encoding latin-1" in err

    assert call("people", str(file), "--encoding", "latin-1", "--yes")[0] == 0
    assert [event.traits for event in written(connection)] == [{"firstName": "Ada"}, {"firstName": "Zoë"}]


def test_a_run_that_does_not_exist_cannot_be_undone(call: Any) -> None:
    code, _, err = call("undo", "abc")

    assert (code, "found 'abc', which no run has" in err) == (2, True)
    assert call("list")[1] == "no file was imported yet\n"
