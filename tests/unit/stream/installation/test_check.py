"""``perennial check`` checks the whole installation, and names what does not work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.levels import FIRST, NEWEST, UnknownLevel
from models.log import Clock, encode_control
from stream.cluster import topics
from stream.installation.check import NotFailed, Refused, findings, require_ready
from stream.installation.embedded_broker import EmbeddedBroker
from stream.installation.findings import Finding
from stream.log.event_log import EventLog
from stream.settings.loading import load
from tests.support.mail_keys import rsa_key


def checked(folder: Path, text: str, flags: dict[str, Any] | None = None, *, offline: bool = True) -> list[Finding]:
    (folder / "perennial.yaml").write_text(f"version: 1\n{text}")
    return list(findings(load(folder / "perennial.yaml", flags, {}), offline=offline))


def findings_of(what: str, found: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.result, finding.says) for finding in found if finding.what == what]


def test_everything_else_is_still_checked_after_a_bad_rule(tmp_path: Path) -> None:
    found = checked(tmp_path, "rules: [{name: x, when: {}}]")

    assert findings_of("rules", found)[0][0] == "failed"
    assert [result for result, _ in findings_of("delivery", found)] == ["ok"]


def test_a_missing_secret_fails(tmp_path: Path) -> None:
    found = checked(tmp_path, "delivery: {unsubscribe_secrets: [{env: NO_SUCH_VARIABLE}]}")

    assert [result for result, _ in findings_of("secrets", found)] == ["failed"]
    assert "NO_SUCH_VARIABLE" in findings_of("secrets", found)[0][1]


def test_live_delivery_without_providers_and_address_fails(tmp_path: Path) -> None:
    place = tmp_path / "templates" / "x"
    place.mkdir(parents=True)
    (place / "text.liquid").write_text("t")
    (place / "subject.liquid").write_text("s")

    found = checked(tmp_path, "delivery: {mode: live}\nrules: [{name: x, when: {first_purchase: true}}]")

    says = [says for result, says in findings_of("delivery", found) if result == "failed"]
    assert says[0] == "mode live needs delivery.smtp (for email)"
    assert says[1].startswith("http.public_url is not set")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(None, tmp_path_factory.mktemp("broker")) as broker:
        yield broker


def test_a_broker_with_all_topics_is_found(tmp_path: Path, broker: EmbeddedBroker) -> None:
    topics.create(broker.connection("ready."), 4)
    flags = {"kafka.servers": broker.address, "kafka.embedded": True, "kafka.prefix": "ready."}

    found = checked(tmp_path, "", flags, offline=False)

    assert findings_of("broker", found) == [("ok", f"the embedded broker at {broker.address}")]
    assert findings_of("topics", found) == [("ok", f"all {len(topics.PERMANENT)} exist, and the log has 4 partitions")]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (NEWEST, []),
        (FIRST, [("note", "the log has format level 1, and this release knows 2: see perennial upgrade status")]),
        (NEWEST + 1, [("failed", str(UnknownLevel("the log", NEWEST + 1)))]),
    ],
)
def test_an_upgrade_that_is_not_finished_is_a_note_and_a_log_of_a_later_release_fails(
    tmp_path: Path, broker: EmbeddedBroker, level: int, expected: list[tuple[str, str]]
) -> None:
    flags = {"kafka.servers": broker.address, "kafka.embedded": True, "kafka.prefix": f"level{level}."}
    connection = load(None, flags, {}).connection()
    topics.create(connection, topics.EMBEDDED_PARTITIONS)

    async def begin() -> None:
        async with EventLog(connection, topics.EMBEDDED_PARTITIONS) as log:
            await log.broadcast(*encode_control(Clock("wall", level)))

    asyncio.run(begin())

    assert findings_of("upgrade", checked(tmp_path, "", flags, offline=False)) == expected


def test_missing_topics_fail_with_the_command_to_run(tmp_path: Path, broker: EmbeddedBroker) -> None:
    flags = {"kafka.servers": broker.address, "kafka.embedded": True, "kafka.prefix": "empty."}

    found = checked(tmp_path, "", flags, offline=False)

    assert findings_of("topics", found)[0][0] == "failed"
    assert "run: perennial topics create" in findings_of("topics", found)[0][1]


def test_an_embedded_broker_that_the_settings_call_a_cluster_fails(tmp_path: Path, broker: EmbeddedBroker) -> None:
    found = checked(tmp_path, "", {"kafka.servers": broker.address}, offline=False)

    assert findings_of("broker", found)[0][0] == "failed"
    assert "set kafka.embedded: true" in findings_of("broker", found)[0][1]


def test_an_embedded_broker_that_does_not_run_is_only_a_note(tmp_path: Path) -> None:
    found = checked(tmp_path, "", {"kafka.servers": "127.0.0.1:1", "kafka.embedded": True}, offline=False)

    assert findings_of("broker", found) == [("note", "the embedded broker does not run; perennial up starts it")]


@pytest.mark.parametrize(
    ("http", "result"),
    [
        ("{host: 0.0.0.0}", ["failed"]),
        ("{host: '::'}", ["failed"]),
        ("{host: door.internal}", ["failed"]),
        ("{host: 127.0.0.5}", []),
        ("{host: '::1'}", []),
        ("{host: localhost}", []),
        ("{host: 0.0.0.0, write_keys: [{value: wk, kind: browser}]}", ["ok"]),
    ],
)
def test_live_delivery_fails_if_strangers_can_send_events(tmp_path: Path, http: str, result: list[str]) -> None:
    found = checked(tmp_path, f"delivery: {{mode: live}}\nhttp: {http}")

    assert [each for each, _ in findings_of("write_keys", found)] == result


def test_a_door_without_keys_is_only_a_note_if_nothing_is_sent(tmp_path: Path) -> None:
    assert [each for each, _ in findings_of("write_keys", checked(tmp_path, "http: {host: 0.0.0.0}"))] == ["note"]


def test_a_write_key_that_is_missing_fails(tmp_path: Path) -> None:
    found = checked(tmp_path, "http: {write_keys: [{value: wk, kind: browser}, {env: NO_SUCH_VARIABLE}]}")

    assert [result for result, _ in findings_of("secrets", found)] == ["failed"]
    assert "http.write_keys[1]" in findings_of("secrets", found)[0][1]


LIVE = "delivery: {mode: live, smtp: {host: 127.0.0.1, port: 2525, from: shop@shop.example}}\n"
ADDRESS = "sender: {postal_address: 'Shop Ltd, 1 High Street, York'}\n"
MARKETING = "rules: [{name: x, category: marketing, when: {cart_left: {for: 1h}}, channels: [email]}]\n"


def with_template(folder: Path) -> Path:
    place = folder / "templates" / "x"
    place.mkdir(parents=True)
    (place / "text.liquid").write_text("t {{ unsubscribe_url }}")
    (place / "subject.liquid").write_text("s")
    return folder


def failed(found: list[Finding]) -> set[str]:
    return {finding.name for finding in found if finding.result == "failed"}


@pytest.mark.parametrize(
    "sends",
    [
        "consent: {confirm: [email]}",
        "journeys: [{name: j, enter: {on: {event: E}}, exit: [{after: 9d, as: out}], steps: [{id: x, send: x}]}]",
    ],
)
def test_links_of_journeys_and_of_confirmations_need_https_too(tmp_path: Path, sends: str) -> None:
    http = "http: {public_url: 'http://shop.example'}\n"

    assert "delivery.public_url" in failed(checked(with_template(tmp_path), f"{LIVE}{sends}\n{http}"))


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("https://shop.example", set()),
        ("http://shop.example", {"delivery.public_url"}),
        ("http://127.0.0.1:8080", set()),
        ("http://[::1]:8080", set()),
        (None, {"delivery.public_url"}),
    ],
)
def test_links_of_live_marketing_mail_need_https_unless_they_stay_on_this_machine(
    tmp_path: Path, url: str | None, names: set[str]
) -> None:
    http = f"http: {{public_url: '{url}'}}\n" if url else ""

    assert failed(checked(with_template(tmp_path), LIVE + MARKETING + http)) == names


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost:8080", "https://localhost", "http://[::1]:1"]
)
def test_mail_that_leaves_this_machine_needs_links_that_lead_back_to_it(tmp_path: Path, url: str) -> None:
    text = LIVE.replace("127.0.0.1", "smtp.shop.example, relay_signs: true") + MARKETING + ADDRESS
    found = checked(with_template(tmp_path), text + f"http: {{public_url: '{url}'}}\n")

    assert failed(found) == {"delivery.public_url"}
    assert [finding.says for finding in found if finding.name == "delivery.public_url"] == [
        f"http.public_url is {url}: unsubscribe links would lead to the reader's own machine"
    ]


@pytest.mark.parametrize("host", ["mailpit", "10.0.0.3", "localhost"])
def test_a_mail_server_for_trials_may_send_links_to_this_machine(tmp_path: Path, host: str) -> None:
    text = LIVE.replace("127.0.0.1", host) + MARKETING + "http: {public_url: 'http://localhost:8080'}\n"

    assert failed(checked(with_template(tmp_path), text)) == set()


DKIM = "{domain: %s, selector: s1, private_key: {file: dkim.pem}}"


@pytest.mark.parametrize(
    ("smtp", "more", "names"),
    [
        ("", "", {"delivery.dkim", "delivery.postal_address"}),
        ("", ADDRESS, {"delivery.dkim"}),
        (", relay_signs: true", "", {"delivery.postal_address"}),
        (", relay_signs: true", ADDRESS, set()),
        (f", dkim: {DKIM % 'shop.example'}", ADDRESS, set()),
        (f", dkim: {DKIM % 'mail.shop.example'}", ADDRESS, set()),
        (f", dkim: {DKIM % 'other.example'}", ADDRESS, {"delivery.dkim"}),
    ],
)
def test_live_marketing_mail_needs_a_postal_address_and_a_signature_of_its_domain(
    tmp_path: Path, smtp: str, more: str, names: set[str]
) -> None:
    (tmp_path / "dkim.pem").write_text(rsa_key())
    live = LIVE.replace("127.0.0.1", f"smtp.shop.example{smtp}") + "http: {public_url: 'https://shop.example'}\n"

    assert failed(checked(with_template(tmp_path), live + MARKETING + more)) == names
    assert failed(checked(tmp_path, live)) == set(), "without marketing, nothing is required"


def test_marketing_by_a_mail_server_for_trials_gets_what_is_missing(tmp_path: Path) -> None:
    text = LIVE + MARKETING + "http: {public_url: 'https://shop.example'}\n"
    found = checked(with_template(tmp_path), text)

    notes = [finding.name for finding in found if finding.result == "note" and finding.name.startswith("delivery.")]
    assert notes == ["delivery.postal_address", "delivery.dkim"]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("no key", "delivery.smtp.dkim.private_key: it is not a private key in PEM without a password"),
        (None, "dkim.pem"),
    ],
)
def test_a_key_that_cannot_sign_fails(tmp_path: Path, key: str | None, says: str) -> None:
    if key is not None:
        (tmp_path / "dkim.pem").write_text(key)
    live = LIVE.replace("127.0.0.1", f"smtp.shop.example, dkim: {DKIM % 'shop.example'}")

    found = [finding.says for finding in checked(tmp_path, live) if finding.name == "secrets.dkim"]
    assert len(found) == 1
    assert says in found[0]


def test_links_need_no_https_with_an_allowlist(tmp_path: Path) -> None:
    text = LIVE.replace("live,", "allowlist, allowlist: [me@shop.example],") + MARKETING
    found = checked(with_template(tmp_path), text + "http: {public_url: 'http://shop.example'}")

    assert failed(found) == set()


def test_each_missing_secret_is_a_separate_finding(tmp_path: Path) -> None:
    found = checked(
        tmp_path,
        """
http: {write_keys: [{env: NO_KEY}]}
kafka: {servers: "k:9092", sasl: {mechanism: PLAIN, username: u, password: {env: NO_SASL}}}
delivery:
  unsubscribe_secrets: [{env: NO_LINKS}]
  smtp: {host: h, from: shop@shop.example, password: {file: no-file}}
  twilio: {account_sid: a, auth_token: {env: NO_TWILIO}, from: "+491"}
  push:
    fcm: {service_account: {file: no-account.json}}
    web: {private_key: {env: NO_VAPID}, contact: "mailto:push@shop.example"}
  webhooks: {crm: {url: "https://crm.example/hooks", secrets: [{env: NO_WEBHOOK}]}}
""",
    )

    assert failed(found) == {
        "secrets.fcm", "secrets.kafka", "secrets.smtp", "secrets.twilio", "secrets.unsubscribe", "secrets.vapid",
        "secrets.webhooks", "secrets.write_keys",
    }  # fmt: skip


class TestStart:
    def test_a_start_is_refused_with_all_failed_findings(self, tmp_path: Path) -> None:
        (tmp_path / "perennial.yaml").write_text(
            "version: 1\n" + LIVE + "http: {write_keys: [{env: NO_SUCH_KEY}]}\nrules: [{name: x, when: {}}]\n"
        )

        with pytest.raises(Refused, match="--force NAME") as caught:
            require_ready(load(tmp_path / "perennial.yaml", {}, {}))

        assert all(f"{name}: " in str(caught.value) for name in ("delivery.public_url", "secrets.write_keys", "rules"))

    def test_a_finding_is_overridden_only_by_its_name(self, tmp_path: Path) -> None:
        (tmp_path / "perennial.yaml").write_text("version: 1\n" + LIVE + "http: {write_keys: [{env: NO_SUCH_KEY}]}\n")
        settings = load(tmp_path / "perennial.yaml", {}, {})

        with pytest.raises(Refused) as caught:
            require_ready(settings, ["delivery.public_url"])
        overridden = require_ready(settings, ["delivery.public_url", "secrets.write_keys"])

        assert "delivery.public_url" not in str(caught.value)
        assert {finding.name for finding in overridden} == {"delivery.public_url", "secrets.write_keys"}

    @pytest.mark.parametrize(
        ("text", "says"), [("", "nothing failed"), (LIVE, "failed: delivery.public_url")], ids=["well", "failing"]
    )
    def test_overriding_a_finding_that_did_not_fail_is_refused_with_the_failed_ones(
        self, tmp_path: Path, text: str, says: str
    ) -> None:
        (tmp_path / "perennial.yaml").write_text("version: 1\n" + text)

        with pytest.raises(NotFailed, match=f"--force delivery.publik_url.*{says}"):
            require_ready(load(tmp_path / "perennial.yaml", {}, {}), ["delivery.publik_url"])


def test_the_names_that_withdraw_consent_are_printed(tmp_path: Path) -> None:
    text = "consent: {withdrawal_events: {Bye: sms}, withdrawal_traits: {no_mail: true}, ignore_traits: [subscribed], "
    text += "purposes: [news], confirm: [email], existing_customer: {countries: [DE], bought_within: 365d}}"
    found = {finding.name: finding.says for finding in checked(tmp_path, text)}

    assert found["consent.purposes"] == (
        "users may consent to: marketing, news; a link confirms each consent to: email; "
        "existing customers may get e-mails in DE for 365d after a purchase"
    )
    assert found["consent.events"].startswith("withdraw consent: Bye (sms), Unsubscribed, ")
    traits = found["consent.traits"].removeprefix("withdraw consent: ").split("; ignored: ")
    assert "no_mail: true" in traits[0].split(", ")
    assert "subscribed: false" not in traits[0].split(", ")
    assert traits[1] == "subscribed"
