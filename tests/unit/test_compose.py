"""docker-compose.yml and the Dockerfile agree with the settings and with the files that they name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream.cli import COMMANDS
from stream.settings import loading as settings
from stream.settings.loading import Settings
from tests.support.paths import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PROMETHEUS: dict[str, Any] = yaml.safe_load((ROOT / "monitoring/prometheus/prometheus.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()

OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("perennial:")}
JOBS = {"topics", "apply"}


def settings_of(service: str) -> Settings:
    """Return the settings of a process as its container gets them, without the file."""
    given = {
        name: str(value)
        for name, value in SERVICES[service]["environment"].items()
        if name.startswith("PERENNIAL_") and name != "PERENNIAL_CONFIG"
    }
    return settings.load(environment=given)


def published(service: str) -> list[tuple[str, int, int]]:
    """Return address and port on the host, and the port in the container, for each published port."""
    found = []
    for port in SERVICES[service].get("ports", []):
        address, outside, inside = port.split(":")
        found.append((address, int(outside), int(inside)))
    return found


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A perennial.yaml in the current folder would be read.
    monkeypatch.chdir(tmp_path)


def test_compose_starts_the_services_of_the_readme() -> None:
    assert SERVICES.keys() == {
        *("kafka", "topics", "apply", "worker", "retrainer", "collector"),
        *("mailpit", "prometheus", "grafana"),
    }


@pytest.mark.parametrize("name", OURS)
def test_each_process_of_ours_runs_an_existing_command(name: str) -> None:
    assert SERVICES[name]["command"][0] in COMMANDS


@pytest.mark.parametrize("name", OURS)
def test_every_variable_names_a_setting_and_has_an_allowed_value(name: str) -> None:
    found = settings_of(name)

    assert not found.embedded
    assert found.connection().transactions


@pytest.mark.parametrize("name", OURS)
def test_all_processes_use_the_same_kafka_inside_the_network(name: str) -> None:
    advertised = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")

    assert f"INSIDE://{settings_of(name).sections.kafka.servers}" in advertised


def test_kafka_has_its_default_port_on_the_host() -> None:
    advertised = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")

    assert "HOST://localhost:9092" in advertised
    assert ("127.0.0.1", 9092, 9092) in published("kafka")


def test_kafka_creates_no_topics_by_itself_and_does_not_delay_workers() -> None:
    environment = SERVICES["kafka"]["environment"]

    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert environment["KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS"] == 0
    assert environment["KAFKA_PROCESS_ROLES"] == "broker,controller"
    assert environment["KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR"] == 1


def test_kafka_keeps_its_data_in_its_volume() -> None:
    assert f"kafka:{SERVICES['kafka']['environment']['KAFKA_LOG_DIRS']}" in SERVICES["kafka"]["volumes"]


def test_each_listener_of_kafka_has_a_protocol() -> None:
    environment = SERVICES["kafka"]["environment"]
    listeners = {listener.split("://")[0] for listener in environment["KAFKA_LISTENERS"].split(",")}
    protocols = {entry.split(":")[0] for entry in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")}

    assert listeners == protocols
    assert environment["KAFKA_INTER_BROKER_LISTENER_NAME"] in listeners
    assert environment["KAFKA_CONTROLLER_LISTENER_NAMES"] in listeners


@pytest.mark.parametrize(("name", "service"), SERVICES.items())
def test_every_image_is_pinned(name: str, service: dict[str, Any]) -> None:
    _, tag = service["image"].split(":")

    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), name
    if name in OURS:
        assert tag == PROJECT["version"]
        assert service["build"] == "."


@pytest.mark.parametrize(("name", "service"), SERVICES.items())
def test_services_have_a_health_check_and_restart_and_jobs_end(name: str, service: dict[str, Any]) -> None:
    if name in JOBS:
        assert service["restart"] == "on-failure"
        assert "healthcheck" not in service
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"
        assert {"interval", "timeout", "retries"} <= service["healthcheck"].keys()


@pytest.mark.parametrize(("name", "service"), SERVICES.items())
def test_each_service_waits_only_for_a_condition_that_can_come_true(name: str, service: dict[str, Any]) -> None:
    for other, wanted in service.get("depends_on", {}).items():
        if wanted["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other], name
        else:
            assert wanted["condition"] == "service_completed_successfully"
            assert other in JOBS


@pytest.mark.parametrize("name", OURS)
def test_no_process_of_ours_starts_before_the_topics_exist(name: str) -> None:
    waits_for = SERVICES[name]["depends_on"].keys()

    assert waits_for == {"kafka"} if name == "topics" else "topics" in waits_for


@pytest.mark.parametrize("name", SERVICES)
def test_every_port_is_bound_to_loopback_and_only_once(name: str) -> None:
    assert all(address == "127.0.0.1" for address, _, _ in published(name))

    outside = [port for service in SERVICES for _, port, _ in published(service)]
    assert len(set(outside)) == len(outside)


def test_the_worker_can_be_scaled() -> None:
    # A port of the host and a container's name can belong to one container only.
    assert not published("worker")
    assert "container_name" not in SERVICES["worker"]


def test_the_http_door_listens_on_its_published_port() -> None:
    http = settings_of("collector").sections.http

    assert http.host == "0.0.0.0"
    assert published("collector") == [("127.0.0.1", http.port, http.port)]


def test_unsubscribe_links_lead_to_the_door_on_the_host() -> None:
    _, outside, _ = published("collector")[0]

    assert settings_of("worker").public_url == settings_of("collector").public_url == f"http://localhost:{outside}"


def test_mail_can_only_reach_the_catcher() -> None:
    delivery = settings_of("worker").sections.delivery

    assert delivery.mode == "live"
    assert delivery.smtp is not None
    assert delivery.smtp.host == "mailpit"
    assert delivery.smtp.port == 1025
    assert delivery.twilio is None


@pytest.mark.parametrize("job", PROMETHEUS["scrape_configs"], ids=lambda job: str(job["job_name"]))
def test_prometheus_reads_the_metrics_ports_of_the_processes(job: dict[str, Any]) -> None:
    if "dns_sd_configs" in job:
        (lookup,) = job["dns_sd_configs"]
        (service,), port = lookup["names"], lookup["port"]
        assert lookup["type"] == "A"
    else:
        service, _, text = job["static_configs"][0]["targets"][0].partition(":")
        port = int(text)
    metrics = settings_of(service).sections.metrics

    assert port == getattr(metrics, job["job_name"])
    assert metrics.host == "0.0.0.0"


def test_prometheus_misses_no_process() -> None:
    jobs = {job["job_name"] for job in PROMETHEUS["scrape_configs"]}

    assert jobs == {name for name in settings_of("worker").sections.metrics.__struct_fields__ if name != "host"}


def test_health_checks_use_the_port_that_answers_them() -> None:
    asked = {
        name: int(found[1])
        for name in OURS
        if name not in JOBS
        and (found := re.search(r"http://127\.0\.0\.1:(\d+)/", SERVICES[name]["healthcheck"]["test"][-1]))
    }

    assert asked == {
        "worker": settings_of("worker").sections.metrics.worker,
        "retrainer": settings_of("retrainer").sections.metrics.retrainer,
        "collector": settings_of("collector").sections.http.port,
    }


def test_mounted_files_exist_and_are_read_only() -> None:
    mounted = [
        volume for service in SERVICES.values() for volume in service.get("volumes", []) if volume.startswith("./")
    ]

    assert mounted
    for volume in mounted:
        source, _, mode = volume.split(":")
        assert (ROOT / source).exists(), source
        assert mode == "ro"


def test_every_named_volume_is_declared_and_used() -> None:
    named = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith("./")
    }

    assert named == COMPOSE["volumes"].keys()


def test_trained_models_are_written_where_workers_read_them() -> None:
    artifacts = {settings_of(name).artifacts for name in ("worker", "retrainer", "collector")}
    (data,) = [volume.split(":")[1] for volume in SERVICES["worker"]["volumes"] if volume.startswith("data:")]

    assert len(artifacts) == 1
    assert artifacts.pop().is_relative_to(data)


def test_grafana_finds_its_dashboard_and_its_data_source() -> None:
    grafana = ROOT / "monitoring/grafana"
    provider = yaml.safe_load((grafana / "provisioning/dashboards/perennial.yml").read_text())["providers"][0]
    source = yaml.safe_load((grafana / "provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])

    assert mounts["./monitoring/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./monitoring/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert source["url"] == "http://prometheus:9090"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (grafana / "dashboards" / Path(home).name).exists()


def test_the_image_is_built_in_a_separate_stage_and_does_not_run_as_root() -> None:
    bases = re.findall(r"^FROM (\S+)(?: AS (\w+))?$", DOCKERFILE, flags=re.MULTILINE)

    assert [stage for _, stage in bases] == ["build", ""]
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base) for base, _ in bases)
    assert len({base for base, _ in bases}) == 1
    last_user = re.findall(r"^USER (\S+)$", DOCKERFILE, flags=re.MULTILINE)[-1]
    assert last_user not in {"root", "0"}
    assert 'ENTRYPOINT ["perennial"]' in DOCKERFILE


def test_the_image_takes_cpu_torch_and_the_pinned_versions() -> None:
    installs = re.findall(r"pip install [^\n&]*", DOCKERFILE)

    assert "ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu\n" in DOCKERFILE
    assert '--index-url "$TORCH_INDEX"' in installs[0]
    assert all("-c constraints.txt" in install for install in installs)


def test_the_build_context_has_only_the_copied_files() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, flags=re.MULTILINE)
        for source in line.split()[:-1]
    }

    assert "*" in ignored
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} <= copied
