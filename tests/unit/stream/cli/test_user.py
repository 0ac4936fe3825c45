"""``perennial user USER`` shows everything of a user on a narrow terminal."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.events import Event
from models.fold.membership_view import why
from models.fold.memo import read_memo, versions_in_use
from models.fold.moments import moment
from models.fold.versions import Versions
from models.fold.view import describe
from models.log import Control
from models.profile.codec import unpack
from models.profile.consents import ConsentProof, grant, withdraw
from models.profile.ledger import Pending, SentMessage, Withheld
from models.profile.links import IdentityLink, ProfileIdentity
from models.profile.orders import WHOLE
from models.profile.recent_items import RecentItem, RecentItems
from models.profile.state import CartLine, Consent, Customer, KnownOrder, PendingGrant
from models.units import DAY, HOUR
from stream.cli import run
from stream.cli.why import written
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.log.event_log import EventLog
from tests.support.answering import worker
from tests.support.brokers import Cluster
from tests.support.event_logs import START
from tests.support.event_logs import written as written_records
from tests.support.segment_logs import FREE_VIEWERS, VIEWERS, folded, identified, segments_in_use, tick, viewed

COOL = {"name": "cool", "template": "t", "cooldown": "3d", "when": {"cart_left": {"for": "1h"}}}
WHY = "cool (configuration 1): cart left with 1 item"


def versions() -> Versions:
    known = Versions()
    known.use("configuration", 1, encode(parse({"rules": [COOL]}, {"t": Template("Hi", "text")})))
    return known


def ada() -> Customer:
    customer = Customer()
    facts, ledger = customer.facts, customer.ledger
    facts.identified, facts.traits = True, {"firstName": "Ada [bold]", "email": "ada@example.org"}
    facts.first_seen, facts.last_seen, facts.sessions = START, START + HOUR + 1, 1
    facts.orders, facts.refunds, facts.spent = 1, 1, {"EUR": 49_900_000}
    facts.refunded = {"EUR": 49_900_000}
    facts.known_orders = {"o1": KnownOrder(START, 49_900_000, "EUR", 60_000_000, WHOLE)}
    facts.recent = RecentItems.of(
        [RecentItem("mug", 1.0, START), RecentItem("pan", 1.0, START + 1), RecentItem("mug", 1.0, START + 2)]
    )
    facts.cart = {"mug": CartLine(2, 5_000_000)}
    facts.consent = {"email": Consent(granted=True, at=START, source="box")}
    ledger.sent = [SentMessage("m1", "cool", "email", "marketing", START + DAY, "You left 1 item in your cart", WHY)]
    ledger.fired = {"cool": START + DAY}
    ledger.withheld = [
        Withheld("cool", "email", "no_consent", START + HOUR),
        Withheld("cool", "email", "cooldown", START + 2 * DAY),
        Withheld("cool", "email", "cooldown", START + 3 * DAY),
    ]
    ledger.pending = [Pending("cool", b"{}", START + 4 * DAY, START + 5 * DAY)]
    return customer


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    file = tmp_path / "perennial.yaml"
    with worker(describe("ada", ada(), START + 3 * DAY, versions()), []) as port:
        file.write_text(f"version: 1\nworker: {{port: {port}}}\n")
        assert run(["user", "ada", "--config", str(file)]) == 0
    return capsys.readouterr().out


def test_a_user_fits_into_80_columns_with_short_times_and_correct_plurals(shown: str) -> None:
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80
    assert "2026-01-01 00:00 to 2026-01-01 01:00, 1 session" in shown
    said = "1 order for 49.90 EUR, 1 refund of 49.90 EUR (refunds of 10.10 EUR more than their orders did not count)"
    assert said in " ".join(shown.split())
    assert not [word for word in ("1 sessions", "1 orders", "1 refunds", "+00:00", ":00Z") if word in shown]


def test_consent_is_shown_by_purpose_and_channel_with_its_proof_and_so_are_the_other_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    customer, file = ada(), tmp_path / "perennial.yaml"
    sms = grant(None, START + HOUR, ConsentProof("checkout", "m7", "consent", confirmed=True, text="v2"))
    news = withdraw(None, START + 2 * HOUR, ConsentProof("complaint", "m8", "message_bounced"))
    customer.facts.consent |= {"sms": sms, "news@email": news}
    customer.facts.pending = {
        "tips@email": PendingGrant(START, 1),
        "email": PendingGrant(START),
    }
    customer.identity = ProfileIdentity(links={"anonymous:a1": IdentityLink(START, "m1", "x", START, "merged")})

    with worker(describe("ada", customer, START, versions()), []) as port:
        file.write_text(f"version: 1\nworker: {{port: {port}}}\n")
        assert run(["user", "ada", "--config", str(file)]) == 0

    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "other ids     anonymous:a1 (merged)" in lines
    place = lines.index("consent       marketing by email: yes since 2026-01-01 00:00")
    assert lines[place + 1 : place + 8] == [
        "proof: from box",
        "news by email: no since 2026-01-01 02:00",
        "proof: message_bounced m8 of 2026-01-01 02:00, from complaint",
        "marketing by sms: yes since 2026-01-01 01:00",
        "proof: consent m7 of 2026-01-01 01:00, from checkout, confirmed, text v2",
        "marketing by email: waits for a click since 2026-01-01 00:00, no address yet",
        "tips by email: waits for a click since 2026-01-01 00:00, 1 e-mail sent",
    ]


def _zone_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], **traits: str) -> str:
    customer, file = ada(), tmp_path / "perennial.yaml"
    customer.facts.traits |= traits
    with worker(describe("ada", customer, START, versions()), []) as port:
        file.write_text(f"version: 1\nworker: {{port: {port}}}\n")
        assert run(["user", "ada", "--config", str(file)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    return shown[shown.index("time zone ") : shown.index(" seen ")]


def test_the_time_zone_is_shown_with_its_source_its_rule_and_an_unknown_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    own = _zone_line(tmp_path, capsys, timezone="asia/tokyo")
    country = _zone_line(tmp_path, capsys, timezone="PST", country="ES")
    nothing = _zone_line(tmp_path, capsys)

    assert own == "time zone Asia/Tokyo, from the trait: quiet hours in this zone"
    assert country == (
        "time zone Europe/Madrid or 1 other of its country, from the country: outside quiet hours in all of them; "
        "'PST' is not a known zone"
    )
    assert nothing == "time zone UTC, from the configuration: quiet hours lengthened by 2 h on each side"


def test_a_message_that_the_suppression_list_stopped_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    customer, file = ada(), tmp_path / "perennial.yaml"
    stopped = {"outcome": "suppressed", "because": "bounce (all)"}
    customer.ledger.sent = [msgspec.structs.replace(one, **stopped) for one in customer.ledger.sent]
    with worker(describe("ada", customer, START + 3 * DAY, versions()), []) as port:
        file.write_text(f"version: 1\nworker: {{port: {port}}}\n")
        assert run(["user", "ada", "--config", str(file)]) == 0

    assert "[suppressed: bounce (all)]" in " ".join(capsys.readouterr().out.split())


def test_an_item_with_many_interactions_is_named_once(shown: str) -> None:
    (recent,) = [line for line in shown.splitlines() if line.startswith("recent items")]
    assert recent.split(maxsplit=2)[2].strip() == "mug, pan"


def test_text_from_the_log_is_not_markup(shown: str) -> None:
    assert "Ada [bold]" in shown


def test_a_message_has_its_explanation_and_a_withheld_one_its_reason(shown: str) -> None:
    assert "2026-01-02 00:00  email  You left 1 item in your cart" in shown
    assert WHY in shown
    assert "2026-01-01 01:00  email  cool: no_consent" in shown
    assert "no consent on record for the purpose and the channel" in shown
    assert "Waiting: cool until 2026-01-05 00:00" in shown


def test_a_cooldown_is_shown_with_its_start_its_end_and_its_number_of_messages(shown: str) -> None:
    assert "2026-01-04 00:00  email  cool: cooldown (2 times)" in shown
    explained = "the last message left on 2026-01-02 00:00, and the next may leave from 2026-01-05 00:00"
    assert explained in " ".join(shown.split())


def test_json_has_all_withheld_messages() -> None:
    said = describe("ada", ada(), START + 3 * DAY, versions())

    assert [one["reason"] for one in said["not_sent"]] == ["no_consent", "cooldown", "cooldown"]
    assert json.dumps(said)
    assert said["not_sent"][1]["again_from"] == "2026-01-05T00:00:00Z"
    assert said["not_sent"][0]["again_from"] is None


def test_an_error_in_a_template_is_shown_with_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    customer, place = ada(), "templates/cool/text.liquid:3: divided_by: can't divide by 0"
    customer.ledger.sent = [
        SentMessage("m1", "cool", "email", "transactional", START, "Hi", WHY, detail=f"the fallback: {place}")
    ]
    customer.ledger.withheld = [Withheld("cool", "email", "template_error", START, place)]
    held = Pending("cool", b"{}", START + HOUR, START + 5 * DAY, "template_error", 1, place)
    customer.ledger.pending = [held]
    file = tmp_path / "perennial.yaml"
    with worker(describe("ada", customer, START + 3 * DAY, versions()), []) as port:
        file.write_text(f"version: 1\nworker: {{port: {port}}}\n")
        assert run(["user", "ada", "--config", str(file)]) == 0

    said = capsys.readouterr().out
    assert f"the fallback: {place}" in said
    assert f"the template could not be rendered: {place}" in said
    assert f"Waiting: cool until 2026-01-06 00:00 for a template that works: {place}" in said


def _why(tmp_path: Path, user: str, *more: str) -> int:
    """Run ``perennial user USER --why free_viewers`` against the answer for a partition with two users."""
    log = [segments_in_use(1, FREE_VIEWERS, VIEWERS), tick(0), identified("u1", 0, plan="free [bold]"), viewed("u1", 0)]
    state, file = folded(*log, tick(HOUR), viewed("u1", HOUR)), tmp_path / "perennial.yaml"
    memo = read_memo(state)
    answer = why(user, unpack(state.records[b"u1"]), memo.now, versions_in_use(state, memo), "free_viewers")
    asked: list[str] = []
    with worker(answer, asked) as port:
        file.write_text(f"version: 1\nworker: {{port: {port}}}\n")
        code = run(["user", user, "--why", "free_viewers", "--no-events", "--config", str(file), *more])
    assert asked == ["/v1/users/u1/why/free_viewers"]
    return code


def test_why_shows_the_tree_and_what_would_have_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")

    assert _why(tmp_path, "u1") == 0

    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "u1 is not in free_viewers  as of 2026-01-01 01:00 UTC"
    assert lines[2:] == [
        "no       all",
        "no       {trait: plan, is: free}",
        "found free [bold]; wanted is: free",
        "yes      {segment: viewers}",
        "found in it",
        "decided at 2026-01-01 01:00",
        "no       {absent: purchase, for: 2d}",
        "found 1h, since the user's first event; wanted for: 2d",
        "decided at 2026-01-01 00:00",
        "changes at 2026-01-03 00:00 without an event",
        "",
        "to enter, these would have to change:",
        "{trait: plan, is: free}",
        "{absent: purchase, for: 2d}",
    ]


def test_why_as_json_is_the_answer_of_the_worker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _why(tmp_path, "u1", "--json") == 0

    answer = json.loads(capsys.readouterr().out)
    assert (answer["since"], len(answer["failing"]), answer["tree"]["group"]) == (None, 2, "all")


def test_a_user_is_shown_with_the_segments_by_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = folded(segments_in_use(1, VIEWERS), tick(0), viewed("u1", 0), tick(HOUR), viewed("u1", HOUR))
    memo, file = read_memo(state), tmp_path / "perennial.yaml"
    answer = describe("u1", unpack(state.records[b"u1"]), memo.now, versions_in_use(state, memo))
    with worker(answer, []) as port:
        file.write_text(f"version: 1\nworker: {{port: {port}}}\n")
        assert run(["user", "u1", "--config", str(file)]) == 0

    assert "segments viewers since 2026-01-01 01:00" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"trait": "a b", "is": "x: y"}, '{trait: a b, is: "x: y"}'),
        ({"trait": "plan", "in": ["no", "2", 2, True]}, '{trait: plan, in: ["no", "2", 2, true]}'),
        ({"event": "Ä", "where": {"p": {"at_least": 2.5}}}, "{event: Ä, where: {p: {at_least: 2.5}}}"),
    ],
)
def test_a_condition_on_one_line_is_yaml(value: dict[str, Any], text: str) -> None:
    assert written(value) == text
    assert yaml.safe_load(text) == value


@pytest.mark.kafka
def test_why_and_the_user_at_a_time_in_the_past_come_from_the_log(
    kafka: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connection, file = kafka.connection, tmp_path / "perennial.yaml"
    file.write_text(
        f"version: 1\nkafka: {{servers: '{connection.servers}', prefix: {connection.prefix}, partitions: 2}}\n"
    )
    topics.create(connection, 2)
    asyncio.run(_write(connection))

    def answer(at: int, *more: str) -> Any:
        when = str(moment(START + at))
        assert run(["user", "u1", "--at", when, "--json", "--config", str(file), *more]) == 0
        return json.loads(capsys.readouterr().out)

    assert [answer(at, "--why", "viewers")["since"] for at in (HOUR - 1, HOUR, 3 * HOUR - 1, 3 * HOUR)] == [
        *(None, "2026-01-01T01:00:00Z", "2026-01-01T01:00:00Z", None)
    ]
    assert answer(HOUR)["segments"] == [{"name": "viewers", "since": "2026-01-01T01:00:00Z"}]
    for arguments, said in (
        (["u1", "--at", "2026-02-01T00:00Z"], "the log has not reached 2026-02-01T00:00:00Z"),
        (["u2", "--at", "2026-01-01T02:00Z"], "there was no user 'u2' at 2026-01-01T02:00:00Z"),
        (["u1", "--at", "2026-01-01T02:00Z", "--why", "viewrs"], "did you mean viewers?"),
    ):
        assert run(["user", *arguments, "--config", str(file)]) == 2
        assert said in capsys.readouterr().err


async def _write(connection: Connection) -> None:
    """Write a log with one user, whose partition is one of two."""
    partition = partition_of(b"u1", 2)
    async with EventLog(connection, 2) as log:
        await log.ensure_clock("feeder")
        contents: list[Event | Control] = [segments_in_use(1, VIEWERS), tick(0), viewed("u1", 0), tick(HOUR)]
        contents += [viewed("u1", HOUR), tick(DAY)]
        records = written_records(contents)
        await log.write_at([(partition, record.key or b"", record.value or b"") for record in records])
