"""``perennial suppressions``: addresses are added one by one or from a file, looked up, and removed."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from models.batch import Output
from models.delivery.address_hashes import AddressHashes, domain_of
from models.delivery.suppression import (
    SCOPE_OF,
    STOPPING,
    TOPIC,
    Reason,
    SuppressionEntry,
    announcement,
    encode_entry,
    key_of,
)
from models.units import now_ms
from stream.cli import run
from stream.cluster import topics
from stream.installation.embedded_broker import EmbeddedBroker
from stream.log.event_log import EventLog

_numbers = itertools.count()
SECRET = "0123456789abcdef"
HASHES = AddressHashes([SECRET.encode()])
NOON = 1_777_636_800_000
"""2026-05-01T12:00Z."""
UNTIL = "2026-05-01T12:05Z"


@pytest.fixture
def settings(embedded_broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of a new installation with an empty list."""
    prefix = f"suppress{os.getpid()}-{next(_numbers)}."
    topics.create(embedded_broker.connection(prefix), 1)
    monkeypatch.setenv("LIST_SECRET", SECRET)
    file = tmp_path / "perennial.yaml"
    file.write_text(
        "version: 1\n"
        f"kafka: {{servers: '{embedded_broker.address}', embedded: true, prefix: {prefix}, partitions: 1}}\n"
        "delivery: {suppression_secrets: [{env: LIST_SECRET}]}\n"
    )
    return file


@pytest.fixture
def call(settings: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command, and return its exit code, output and errors."""

    def called(*words: str) -> tuple[int, str, str]:
        code = run(["suppressions", *words, "--config", str(settings)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return called


def rows(call: Any, *words: str) -> list[dict[str, Any]]:
    code, out, _ = call("list", "--json", *words)
    assert code == 0
    found: list[dict[str, Any]] = orjson.loads(out)
    return found


async def bounce(settings: Path, address: str, at: int, hashes: AddressHashes = HASHES) -> None:
    """Write the entry of a bounce, as a delivery does."""
    entry = SuppressionEntry(scope="all", reason="bounce", channel="email", at=at, domain=domain_of("email", address))
    output = Output(TOPIC, key_of(hashes.newest("email", address), "bounce"), encode_entry(entry))
    await _write(settings, [output, Output(TOPIC, *announcement(hashes.newest_id))])


async def _write(settings: Path, outputs: list[Output]) -> None:
    from stream.settings.loading import load

    async with EventLog(load(settings).connection(), 1) as log:
        await log.write(outputs)


def test_an_added_address_is_found_with_reason_and_time_and_is_never_printed(call: Any) -> None:
    assert call("add", "Ada@Example.com", "--reason", "complaint")[0] == 0
    assert call("add", "+49 30 901820", "--scope", "all")[0] == 0

    (ada,) = rows(call, "--address", "ada@example.com")
    assert (ada["channel"], ada["scope"], ada["reason"], ada["in_force"]) == ("email", "marketing", "complaint", True)
    assert ada["at"].startswith("20")
    assert ada["source"] == "perennial suppressions add"
    assert [one["channel"] for one in rows(call, "--channel", "sms")] == ["sms"]
    assert [one["reason"] for one in rows(call, "--reason", "manual")] == ["manual"]
    everything = call("list", "--all")[1] + call("list", "--json", "--all")[1]
    assert "ada" not in everything
    assert "901820" not in everything
    assert call("list", "--address", "eve@example.com")[1] == "eve@example.com is not on the list\n"


async def test_an_added_address_is_stopped_even_if_older_entries_have_later_times(call: Any, settings: Path) -> None:
    later = now_ms() + 3_600_000
    await bounce(settings, "ada@example.com", later)
    ends = SuppressionEntry(scope="watch", reason="delivered", channel="email", at=later + 1)
    key = key_of(HASHES.newest("email", "ada@example.com"), "delivered")
    await _write(settings, [Output(TOPIC, key, encode_entry(ends))])
    assert await _in_thread(rows, call, "--reason", "bounce") == []

    assert (await _in_thread(call, "add", "ada@example.com", "--reason", "bounce"))[0] == 0

    (entry,) = await _in_thread(rows, call, "--reason", "bounce")
    assert entry["in_force"]


@pytest.mark.parametrize("reason", STOPPING)
def test_an_entry_has_the_scope_of_its_reason(call: Any, reason: Reason) -> None:
    call("add", "ada@example.com", "--reason", reason)

    assert [one["scope"] for one in rows(call)] == [SCOPE_OF[reason]]


@pytest.mark.parametrize("written", ["ada", "ada@", "030 901820", "", "ada@exa mple.com"])
def test_add_refuses_a_text_that_is_not_an_address(call: Any, written: str) -> None:
    code, _, err = call("add", written)

    assert (code, rows(call)) == (2, [])
    assert "allowed: an e-mail address, or a phone number with its country" in err


def test_an_address_is_removed_with_all_its_reasons_or_with_one(call: Any) -> None:
    for reason in ("complaint", "manual", "bounce"):
        call("add", "ada@example.com", "--reason", reason)
    call("add", "eve@example.com")

    assert call("remove", "ADA@example.com", "--reason", "bounce")[0] == 0
    assert sorted(one["reason"] for one in rows(call, "--address", "ada@example.com")) == ["complaint", "manual"]
    assert call("remove", "ada@example.com")[0] == 0
    assert rows(call, "--address", "ada@example.com") == []
    assert len(rows(call)) == 1
    code, out, _ = call("remove", "ada@example.com")
    assert (code, out) == (1, "nothing to remove\n")


async def test_the_bounces_of_a_domain_and_a_window_are_shown_first_and_removed_with_yes(
    call: Any, settings: Path
) -> None:
    for address, at in (("a@big.example", NOON), ("b@big.example", NOON + 60_000), ("c@big.example", NOON + 10**7)):
        await bounce(settings, address, at)
    await bounce(settings, "d@small.example", NOON)
    window = (
        "--reason",
        "bounce",
        "--domain",
        "Big.example",
        "--from",
        "2026-05-01T12:00Z",
        "--to",
        UNTIL,
    )

    code, out, _ = await _in_thread(call, "remove", *window)
    assert (code, "2 records would be removed; --yes removes them" in out) == (0, True)
    assert len(await _in_thread(rows, call)) == 4
    code, out, _ = await _in_thread(call, "remove", *window, "--yes")
    assert (code, "2 records removed" in out) == (0, True)
    assert {one["domain"] for one in await _in_thread(rows, call)} == {"big.example", "small.example"}
    assert len(await _in_thread(rows, call)) == 2


async def _in_thread(act: Any, *arguments: Any) -> Any:
    import asyncio

    return await asyncio.to_thread(act, *arguments)  # a command starts an event loop


@pytest.mark.parametrize(
    "words",
    [
        (), ("ada@example.com", "--secret", "0a1b2c3d"), ("--domain", "big.example", "--yes"),
        ("--reason", "complaint", "--domain", "big.example", "--from", "2026-05-01T12:00Z", "--to", UNTIL),
        ("--reason", "bounce", "--domain", "b.example", "--from", "2026-05-01T12:00", "--to", UNTIL),
    ],
)  # fmt: skip
def test_remove_refuses_a_call_that_does_not_name_what_to_remove(call: Any, words: tuple[str, ...]) -> None:
    assert call("remove", *words)[0] == 2


def test_a_file_of_addresses_is_imported_with_reason_and_time(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_bytes(
        "Email;Reason;At;Name\n\nada@example.com;unsubscribed;2026-05-01;Ada\n"
        "eve@faß.de;complaint;2026-05-01T12:00:00Z;Eve\nada@example.com;unsubscribe;2026-05-02;Ada\nbob@example.com;;;\n"
        .encode("utf-8-sig")
    )  # fmt: skip

    code, out, _ = call("import", str(file), "--json")

    assert code == 0
    assert orjson.loads(out) == {"read": 4, "addresses": 3, "new": 3, "newer": 0, "unchanged": 0, "bad": 0}
    (ada,) = rows(call, "--address", "ada@example.com")
    assert (ada["reason"], ada["at"]) == ("unsubscribe", "2026-05-02T00:00:00.000Z")
    (eve,) = rows(call, "--address", "eve@xn--fa-hia.de")
    assert (eve["reason"], eve["source"]) == ("complaint", "import of old.csv")
    assert [one["reason"] for one in rows(call, "--address", "bob@example.com")] == ["import"]


def test_importing_the_same_file_again_changes_nothing_and_no_time_decreases(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    for day in ("2026-05-03", "2026-05-01", "2026-05-03", "2026-05-04"):
        file.write_text(f"address,reason,at\nada@example.com,unsubscribe,{day}\n")
        done = orjson.loads(call("import", str(file), "--json")[1])
        counts = {name: done[name] for name in ("new", "newer", "unchanged") if done[name]}
        (ada,) = rows(call)
        expected = {"2026-05-04": ({"newer": 1}, "2026-05-04")}.get(day, (counts, "2026-05-03"))
        assert (counts, ada["at"][:10]) == expected


def test_a_second_import_without_times_changes_nothing_unless_its_scope_is_wider(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "f.txt"
    file.write_text("ada@example.com\neve@example.com\n")

    def counts(*words: str) -> dict[str, int]:
        done = orjson.loads(call("import", str(file), "--json", *words)[1])
        return {name: done[name] for name in ("new", "newer", "unchanged") if done[name]}

    assert [counts(), counts()] == [{"new": 2}, {"unchanged": 2}]
    assert [counts("--scope", "all"), counts("--scope", "all")] == [{"newer": 2}, {"unchanged": 2}]
    assert {one["scope"] for one in rows(call)} == {"all"}


def test_a_file_with_one_address_per_line_needs_no_header(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "f.txt"
    file.write_text("\ufeffada@example.com\r\n\r\n+49 30 901820\r\n")

    assert call("import", str(file))[0] == 0
    assert sorted(one["channel"] for one in rows(call)) == ["email", "sms"]


def test_an_import_with_an_unreadable_line_writes_nothing_unless_skip_bad_is_given(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text(
        "address,channel,reason,at\nada@example.com,,,\nwhat?,,,\neve@example.com,fax,,\neve@example.com,,boredom,\n"
        "eve@example.com,,,yesterday\neve@example.com,,,2999-01-01\neve@example.com,email,bounce,2026-05-01,more\n"
    )

    code, _, err = call("import", str(file))
    assert (code, rows(call)) == (2, [])
    for line, what in ((3, "address"), (4, "channel"), (5, "reason"), (6, "at"), (7, "at"), (8, "found 5 values")):
        assert f"line {line}: {what}" in err
    code, out, _ = call("import", str(file), "--skip-bad", "--json")
    assert (code, orjson.loads(out)["bad"], len(rows(call))) == (0, 6, 1)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"address,reason\n", b"\xff\xfe\x00"])
def test_a_file_without_an_address_is_refused(call: Any, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "f.csv"
    file.write_bytes(content)

    assert call("import", str(file))[0] == 2


async def test_every_command_refuses_a_list_whose_secret_it_does_not_know(
    call: Any, settings: Path, tmp_path: Path
) -> None:
    stranger = AddressHashes([b"nobody-knows--16"])
    await bounce(settings, "ada@example.com", NOON, stranger)
    file = tmp_path / "f.txt"
    file.write_text("ada@example.com\n")

    for words in (("add", "ada@example.com"), ("list", "--address", "ada@example.com"), ("import", str(file))):
        code, _, err = await _in_thread(call, *words)
        assert (code, next(iter(stranger.ids)) in err) == (2, True)
    code, _, _ = await _in_thread(call, "remove", "--secret", next(iter(stranger.ids)), "--yes")
    assert code == 0
    assert (await _in_thread(call, "add", "ada@example.com"))[0] == 0

    await _write(settings, [Output(TOPIC, *announcement(HASHES.newest_id))])
    clicked = SuppressionEntry(
        scope="marketing", reason="unsubscribe", channel="email", at=NOON
    )  # by a click on a link that was made with the unknown secret
    key = key_of(stranger.newest("email", "eve@example.com"), "unsubscribe")
    await _write(settings, [Output(TOPIC, key, encode_entry(clicked))])
    assert (await _in_thread(call, "add", "eve@example.com"))[0] == 0


def test_an_unreachable_broker_is_reported_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unused_tcp_port: int
) -> None:
    file = tmp_path / "perennial.yaml"
    file.write_text(f"version: 1\nkafka: {{servers: '127.0.0.1:{unused_tcp_port}', embedded: true}}\n")

    assert run(["suppressions", "list", "--config", str(file)]) == 69
    assert len(capsys.readouterr().err.splitlines()) == 1
