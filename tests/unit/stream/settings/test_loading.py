"""Settings come from flag, environment, file, default, in this order; an error gives the place, the value found and the
values allowed.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from models.configuration.definition import SECTIONS
from stream.cli.config import settings_of
from stream.settings.loading import Settings, load, schema
from stream.settings.schema import Sections
from stream.settings.sources import InvalidSettings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, text: str, **environment: str) -> Settings:
    file = folder / "perennial.yaml"
    file.write_text(f"version: 1\n{text}")
    return load(file, environment=environment)


def refused(folder: Path, text: str, **environment: str) -> str:
    with pytest.raises(InvalidSettings) as caught:
        written(folder, text, **environment)
    return str(caught.value).replace(f"{folder}/", "")


def test_the_embedded_broker_is_used_without_any_setting(folder: Path) -> None:
    settings = load(environment={})

    connection = settings.connection()
    assert (connection.servers, connection.transactions, connection.session_timeout_s) == ("127.0.0.1:9092", False, 6)
    assert (settings.partitions, settings.replication_factor, settings.timezone) == (4, 1, "UTC")
    assert settings.folder == folder / ".perennial"


def test_named_servers_are_a_kafka_with_transactions(folder: Path) -> None:
    settings = written(folder, "kafka: {servers: 'kafka:9092'}")

    assert settings.connection().transactions
    assert (settings.partitions, settings.replication_factor) == (12, -1)


def test_flags_win_over_environment_over_file_over_default(folder: Path) -> None:
    file = folder / "perennial.yaml"
    file.write_text("version: 1\nhttp: {port: 1}\nworker: {port: 1}\nkafka: {partitions: 1}\n")
    environment = {"PERENNIAL_WORKER__PORT": "2", "PERENNIAL_KAFKA__PARTITIONS": "2"}

    settings = load(file, {"kafka.partitions": 3, "kafka.prefix": None}, environment)

    assert (settings.sections.kafka.partitions, settings.sections.worker.port, settings.sections.http.port) == (3, 2, 1)
    assert settings.sections.kafka.prefix == "perennial."
    origins = [settings.given.origin(path) for path in ("kafka.partitions", "worker.port", "http.port", "kafka.prefix")]
    assert origins == ["a flag", "PERENNIAL_WORKER__PORT", f"{file}:2", f"{file}:4"]


def test_the_file_in_the_current_folder_is_found_and_the_environment_can_name_another(folder: Path) -> None:
    (folder / "perennial.yaml").write_text("version: 1\ntimezone: Europe/Berlin\n")
    (folder / "other.yaml").write_text("version: 1\ntimezone: Asia/Tokyo\n")

    assert load(environment={}).timezone == "Europe/Berlin"
    assert load(environment={"PERENNIAL_CONFIG": "other.yaml"}).timezone == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "kafka:\n  partitions: many",
            "perennial.yaml:3: kafka.partitions: found 'many'; allowed: a whole number, 1 to 1000",
        ),
        ("kafka:\n  partitions: 0", "perennial.yaml:3: kafka.partitions: found 0; allowed: a whole number, 1 to 1000"),
        (
            "kafka:\n  sevrers: x",
            "session_timeout, tls, sasl (did you mean servers?)",
        ),
        ("kafka: {servers: kafka}", "kafka.servers: found 'kafka'; allowed: host:port, several separated by commas"),
        ("delivry: {}", "perennial.yaml:2: delivry: found 'delivry'; allowed: one of version, folder, kafka, http, "),
        (
            "delivery: {mode: lvie}",
            "delivery.mode: found 'lvie'; allowed: one of allowlist, live, outbox (did you mean live?)",
        ),
        ("delivery: {smtp: {port: 25}}", "perennial.yaml:2: delivery.smtp: found ['port']; allowed: with `host`"),
        ("timezone: Berlin", "perennial.yaml:2: timezone: found 'Berlin'; allowed: an IANA zone"),
        (
            "http: {port: 1}\nhttp: {port: 2}",
            "perennial.yaml:3: http: found 'http again'; allowed: each key once; line 2 has it, too",
        ),
        ("http: {port: [}", "perennial.yaml:2 is not YAML: expected the node content, but found '}'"),
        ("retrainer: {every: 10}", "retrainer.every: found 10; allowed: a whole number and a unit"),
        ("kafka: {sasl: {mechanism: PLAIN, username: u, password: hunter2}}", "kafka.sasl.password: found '***'"),
        ("delivery: {unsubscribe_secrets: [hunter2]}", "delivery.unsubscribe_secrets[0]: found '***'"),
        ("delivery: {unsubscribe_secrets: [{env: A, file: B}]}", "allowed: {env: NAME} or {file: PATH}"),
    ],
)
def test_an_error_names_the_line_the_path_the_value_found_and_the_values_allowed(
    folder: Path, text: str, message: str
) -> None:
    error = refused(folder, text)

    assert message in error
    assert "hunter2" not in error


def test_a_file_without_its_version_is_refused(folder: Path) -> None:
    (folder / "perennial.yaml").write_text("http: {port: 1}\n")

    with pytest.raises(InvalidSettings, match=r"version: found nothing; allowed: 1 \(write `version: 1`"):
        load(environment={})


def test_a_file_of_a_later_version_is_refused(folder: Path) -> None:
    (folder / "perennial.yaml").write_text("version: 2\n")

    with pytest.raises(InvalidSettings, match=r"version: found 2; allowed: one of 1"):
        load(environment={})


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InvalidSettings, match=r"nowhere\.yaml: found 'No such file or directory'"):
        load(Path("nowhere.yaml"), environment={})


def test_a_variable_that_is_not_utf_8_is_named(folder: Path) -> None:
    torn = b"UTC\xff".decode("utf-8", "surrogateescape")

    with pytest.raises(InvalidSettings, match=r"PERENNIAL_TIMEZONE: timezone: found .*; allowed: text in UTF-8"):
        written(folder, "", PERENNIAL_TIMEZONE=torn)


def test_a_variable_that_is_not_yaml_is_named(folder: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"^PERENNIAL_HTTP__PORT is not YAML: expected the node content"):
        load(environment={"PERENNIAL_HTTP__PORT": "["})


def test_a_variable_that_names_no_setting_is_refused_with_the_closest_name(folder: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"'PERENNIAL_KAFKA__SERVER'; .*did you mean PERENNIAL_KAFKA__SERVERS\?"):
        load(environment={"PERENNIAL_KAFKA__SERVER": "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("PERENNIAL_OUTBOUND__ALLOW", "10.0.0.1:443"), ("PERENNIAL_OUTBOUND", "{allow: []}"), ("PERENNIAL_OUTBOUND", "")],
)
def test_hosts_with_a_private_address_are_allowed_in_the_file_alone(folder: Path, name: str, value: str) -> None:
    text = "outbound: {allow: ['crm.internal:443']}"

    assert written(folder, text).sections.outbound.allow == ("crm.internal:443",)
    message = refused(folder, text, **{name: value})
    assert message.startswith(f"{name}: outbound")
    assert message.endswith("; allowed: this setting in perennial.yaml alone")


def test_a_variable_of_another_program_is_ignored() -> None:
    load(environment={"PERENNIALS_HOME": "/x", "MY_PERENNIAL_HTTP__PORT": "1", "PEREGRINE_HTTP__PORT": "1"})


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("PERENNIAL_HTPP__PORT", "8081", "PERENNIAL_HTTP__PORT"),
        ("PERENNIAL_HTTP_PORT", "8081", "PERENNIAL_HTTP__PORT"),
        ("PERENNIAL_HTTP__PORT_", "8081", "PERENNIAL_HTTP__PORT"),
        ("PERENNIAL_WROKER__PORT", "8391", "PERENNIAL_WORKER__PORT"),
        ("PERENNIAL_DELIVERY__MDOE", "live", "PERENNIAL_DELIVERY__MODE"),
        ("PERENNIAL_CONFG", "other.yaml", "PERENNIAL_CONFIG"),
        ("PERENNIAL_DEBUGG", "1", "PERENNIAL_DEBUG"),
        ("PERENIAL_HTTP__PORT", "8081", "PERENNIAL_HTTP__PORT"),
        ("PERENNIALS_DELIVERY__MODE", "live", "PERENNIAL_DELIVERY__MODE"),
        ("PERENNIAL_http__port", "8081", "PERENNIAL_HTTP__PORT"),
        ("perennial_http__port", "8081", "PERENNIAL_HTTP__PORT"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_closest_name(name: str, value: str, meant: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(environment={name: value})

    assert str(caught.value) == f"the environment: found '{name}'; allowed: a setting's name (did you mean {meant}?)"


def test_the_tilde_of_an_unknown_user_is_part_of_the_folders_name(tmp_path: Path) -> None:
    file = tmp_path / "perennial.yaml"
    file.write_text("version: 1\nfolder: ~there-is-no-such-user/data\n")

    assert load(file, environment={}).folder == tmp_path / "~there-is-no-such-user" / "data"


def test_all_misspelt_variables_are_named_in_one_error() -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(environment={"PERENNIAL_HTPP__PORT": "1", "PERENNIAL_KAFKA__SERVER": "x"})

    assert "PERENNIAL_HTPP__PORT, PERENNIAL_KAFKA__SERVER" in str(caught.value)
    assert "for PERENNIAL_HTPP__PORT a setting's name (did you mean PERENNIAL_HTTP__PORT?)" in str(caught.value)
    assert "for PERENNIAL_KAFKA__SERVER a setting's name (did you mean PERENNIAL_KAFKA__SERVERS?)" in str(caught.value)


def test_variables_that_kubernetes_sets_for_a_service_are_not_settings(folder: Path) -> None:
    environment = {
        "PERENNIAL_PORT": "tcp://10.0.0.1:80",
        "PERENNIAL_PORT_80_TCP_ADDR": "10.0.0.1",
        "PERENNIAL_SERVICE_HOST": "10.0.0.1",
        "PERENNIAL_COLLECTOR_SERVICE_PORT_HTTP": "80",
    }

    assert load(environment=environment).sections.http.port == 8080


def test_variables_reach_every_kind_of_setting(folder: Path) -> None:
    settings = load(
        environment={
            "PERENNIAL_KAFKA__EMBEDDED": "true",
            "PERENNIAL_KAFKA__SERVERS": "127.0.0.1:9999",
            "PERENNIAL_METRICS__FOLD": "null",
            "PERENNIAL_DELIVERY__ALLOWLIST": "a@shop.example, +4915112345678",
            "PERENNIAL_DELIVERY__TWILIO__ACCOUNT_SID": "12345",
            "PERENNIAL_DELIVERY__TWILIO__FROM": "+4915112345678",
            "PERENNIAL_DELIVERY__TWILIO__AUTH_TOKEN__ENV": "TOKEN",
            "PERENNIAL_CAPS": "[{messages: 3, within: 7d}]",
            "PERENNIAL_CHURN__HORIZON": "28d",
            "PERENNIAL_TIMEZONE": "Europe/Berlin",
        }
    )

    assert (settings.embedded, settings.connection().servers) == (True, "127.0.0.1:9999")
    assert settings.sections.metrics.fold is None
    assert settings.sections.delivery.allowlist == ["a@shop.example", "+4915112345678"]
    assert settings.sections.delivery.twilio is not None
    assert settings.sections.delivery.twilio.account_sid == "12345"
    assert settings.sections.delivery.twilio.auth_token.env == "TOKEN"
    assert settings.definition == {
        "caps": [{"messages": 3, "within": "7d"}],
        "churn": {"horizon": "28d"},
        "timezone": "Europe/Berlin",
    }


def test_an_error_in_a_variable_names_the_variable(folder: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"PERENNIAL_HTTP__PORT: http\.port: found 'x'; allowed: a port"):
        load(environment={"PERENNIAL_HTTP__PORT": "x"})


def test_a_password_in_a_variable_is_refused_and_not_shown(folder: Path) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(environment={"PERENNIAL_DELIVERY__SMTP": "{host: h, from: a@b, password: hunter2}"})

    assert "hunter2" not in str(caught.value)


def test_plain_words_stay_words(folder: Path) -> None:
    settings = written(folder, "quiet_hours: {from: 21:00, to: 08:30}\nrules: [{name: no, when: {event: on}}]\n")

    assert settings.definition["quiet_hours"] == {"from": "21:00", "to": "08:30"}
    assert settings.definition["rules"] == [{"name": "no", "when": {"event": "on"}}]


def test_a_section_with_only_comments_has_its_defaults(folder: Path) -> None:
    assert written(folder, "kafka:\n  # servers: kafka:9092\nrules:\n").embedded


def test_relative_paths_are_relative_to_the_file(folder: Path) -> None:
    (folder / "etc").mkdir()
    file = folder / "etc" / "perennial.yaml"
    file.write_text("version: 1\nfolder: data\nretrainer: {artifacts: ../models}\n")

    settings = load(file, environment={})

    assert settings.folder == folder / "etc" / "data"
    assert settings.outbox == folder / "etc" / "data" / "outbox"
    assert settings.artifacts.resolve() == folder / "models"
    assert settings.templates == folder / "etc" / "templates"


def test_a_cluster_with_tls_and_scram_is_reached_with_its_secret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    sasl = "{mechanism: SCRAM-SHA-512, username: app, password: {env: KAFKA_PASSWORD}}"
    settings = written(folder, f"kafka: {{servers: 'kafka:9093', tls: {{}}, sasl: {sasl}}}")

    connection = settings.connection()

    assert connection.security_protocol == "SASL_SSL"
    assert (connection.sasl_mechanism, connection.username, connection.password) == ("SCRAM-SHA-512", "app", "hunter2")
    assert "hunter2" not in repr(connection)
    assert "hunter2" not in repr(settings)


def test_a_secret_may_be_in_a_file(folder: Path) -> None:
    (folder / "password").write_text("hunter2\n")
    sasl = "{mechanism: PLAIN, username: app, password: {file: password}}"

    settings = written(folder, f"kafka: {{servers: 'kafka:9093', sasl: {sasl}}}")

    assert settings.connection().password == "hunter2"


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("{env: NO_SUCH_VARIABLE}", r"kafka\.sasl\.password: .*the environment variable NO_SUCH_VARIABLE, not empty"),
        ("{file: /dev/zero}", r"kafka\.sasl\.password: found 'it is not a regular file'; allowed: a text file"),
        ("{file: nothing}", r"kafka\.sasl\.password: .*a text file at .*/nothing"),
    ],
)
def test_a_missing_secret_is_named(folder: Path, secret: str, message: str) -> None:
    sasl = f"{{mechanism: PLAIN, username: app, password: {secret}}}"
    settings = written(folder, f"kafka: {{servers: 'kafka:9093', sasl: {sasl}}}")

    with pytest.raises(InvalidSettings, match=message):
        settings.connection()


def test_contradicting_options_are_refused(folder: Path) -> None:
    settings = written(folder, "kafka: {servers: 'kafka:9093', tls: {key_file: key.pem}}")

    with pytest.raises(InvalidSettings, match=r"kafka: .*a key file needs a certificate file"):
        settings.connection()


def test_a_child_process_gets_the_same_settings(folder: Path) -> None:
    file = folder / "perennial.yaml"
    file.write_text("version: 1\nhttp: {port: 1}\n")
    flags = {
        "kafka.servers": "127.0.0.1:1",
        "kafka.embedded": True,
        "folder": Path("data"),
        "delivery.allowlist": ["a"],
    }
    settings = load(file, flags, {})

    again = load(environment=settings.environment())

    assert again.sections == settings.sections
    assert again.folder == folder / "data"


def test_the_schema_names_every_section_and_allows_no_other() -> None:
    made = schema()

    assert set(made["properties"]) == {*Sections.__struct_fields__, *SECTIONS}
    assert made["additionalProperties"] is False
    assert made["$defs"]["KafkaSection"]["additionalProperties"] is False
    assert made["$defs"]["SegmentDefinition"]["properties"]["when"]["$ref"] == "#/$defs/Condition"
    referred = set(re.findall(r'"#/\$defs/(\w+)"', msgspec.json.encode(made).decode()))
    assert {"Condition", "WrittenEvent", "SegmentDefinition"} <= referred <= made["$defs"].keys()


def test_a_browser_key_may_be_written_into_the_file_and_a_server_key_may_not(folder: Path) -> None:
    keys = "[{env: KEY}, {file: key.txt, kind: browser}, {value: wk_web, kind: browser}]"
    settings = written(folder, f"http: {{write_keys: {keys}}}")
    shown = dict(settings_of(settings))

    assert [key.kind for key in settings.sections.http.write_keys] == ["server", "browser", "browser"]
    assert [shown[f"http.write_keys[{i}]"] for i in range(3)] == [
        "*** (env: KEY, server)",
        "*** (file: key.txt, browser)",
        "wk_web (value, browser)",
    ]


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("{value: s3cret}", "for a server key, which is a secret"),
        ("{env: KEY, value: s3cret, kind: browser}", "{value: KEY, kind: browser}"),
        ("{kind: browser}", "{value: KEY, kind: browser}"),
        ("{env: KEY, kind: mobile}", ""),
    ],
)
def test_a_write_key_with_two_places_is_refused_and_not_shown(folder: Path, key: str, allowed: str) -> None:
    said = refused(folder, f"http: {{write_keys: [{key}]}}")

    assert "http.write_keys[0]" in said
    assert allowed in said
    assert "s3cret" not in said


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "https://faß.de", "https://*", "null"])
def test_an_origin_that_no_browser_sends_is_refused(folder: Path, origin: str) -> None:
    assert "http.allowed_origins[0]" in refused(folder, f"http: {{allowed_origins: ['{origin}']}}")
