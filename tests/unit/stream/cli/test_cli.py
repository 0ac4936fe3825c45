"""The command line has quick help, reports an error in one line, and loads only the command that is called."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from stream import cli
from stream.cluster.topics import PERMANENT, TOPICS
from stream.installation.commands import perennial
from stream.installation.embedded_broker import EmbeddedBroker
from tests.support.processes import await_gone, await_true


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        perennial(*arguments),
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


def test_help_names_every_command() -> None:
    shown = run("--help", COLUMNS="200").stdout

    assert {"broker", "worker", "topics", "config", "check", "init", "apply"} <= set(shown.split())


def test_help_is_quick_and_loads_neither_torch_nor_kafka() -> None:
    script = (
        "import sys; from stream.cli import run\n"
        "run(['--help'])\n"
        "heavy = {'torch', 'river', 'scipy', 'numpy', 'kafka', 'aiokafka', 'faust', 'aiohttp', 'yaml'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    libraries, _ = _run_script("import typer, rich.console, rich.table, msgspec")
    taken, errors = _run_script(script)

    assert errors == "heavy: []\n"
    # Help took 1.9 times the CPU time of its libraries. A ratio is the same on fast, slow and busy machines.
    assert taken < 3.0 * libraries


def _run_script(script: str) -> tuple[float, str]:
    """Run a script, and return its CPU time in seconds and its error output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ended.stderr


@pytest.mark.parametrize("name", cli.commands())
def test_every_command_loads_and_has_help(name: str) -> None:
    command = cli.load(name)

    assert command.name == name
    assert command.help


@pytest.mark.parametrize("name", cli.commands())
def test_only_the_program_itself_offers_shell_completion(name: str) -> None:
    options = {option for parameter in cli.load(name).params for option in parameter.opts}

    assert not options & {"--install-completion", "--show-completion"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["brokr"], "perennial: No such command 'brokr'. Did you mean 'broker'? (perennial --help)\n"),
        (["broker", "--port", "x"], "perennial: Invalid value for '--port': "),
        (["topics", "crate"], "perennial: No such command 'crate'."),
        (["preview", "win_back", "--channel", "fax"], "perennial: Invalid value for '--channel': 'fax' is not one of "),
        (
            ["dlq", "list", "--since", "foo"],
            "perennial: Invalid value: --since: found 'foo'; allowed: a duration such as ",
        ),
        (["check", "--config", "nowhere.yaml"], "perennial: nowhere.yaml: found 'No such file or directory'"),
    ],
)
def test_a_users_mistake_is_reported_in_one_line_on_standard_error_with_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(message)
    assert shown.err.count("\n") == 1


def test_an_unexpected_error_is_reported_in_one_line_with_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("stream.cli.check.load", broken)

    assert cli.run(["check"]) == 1
    assert capsys.readouterr().err == "perennial: RuntimeError: out of luck (PERENNIAL_DEBUG=1 shows where)\n"


def test_a_traceback_is_shown_if_the_user_requests_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run("check", "--config", "nowhere.yaml", PERENNIAL_DEBUG="1")

    assert "Traceback" in ended.stderr


def test_a_pipe_that_is_closed_early_is_not_an_error() -> None:
    line = " ".join(perennial("config", "schema"))
    ended = subprocess.run(["bash", "-c", f"{line} | head -n 1"], capture_output=True, text=True, check=True)

    assert ended.stdout == "{\n"
    assert ended.stderr == ""


@pytest.mark.parametrize("name", ["agents", "models"])
def test_another_distribution_that_hides_a_package_is_reported(name: str, tmp_path: Path) -> None:
    other = tmp_path / "site" / name
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")

    script = f"import sys; sys.path[:0] = [{str(tmp_path / 'site')!r}]; from stream.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    ended = subprocess.run(
        [sys.executable, "-c", script, "--help"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )

    assert ended.returncode == 2
    assert f"the package {name!r} comes from" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(None, tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def kafka(broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setenv("PERENNIAL_KAFKA__SERVERS", broker.address)
    monkeypatch.setenv("PERENNIAL_KAFKA__EMBEDDED", "true")
    monkeypatch.setenv("PERENNIAL_KAFKA__PREFIX", f"{request.node.name}.")


@pytest.mark.usefixtures("kafka")
def test_topics_are_checked_created_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["topics", "check"]) == 2
    assert "run: perennial topics create" in capsys.readouterr().out
    assert cli.run(["topics", "create", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["created"]) == len(PERMANENT)
    assert cli.run(["topics", "check"]) == 0
    assert capsys.readouterr().out == f"all {len(PERMANENT)} topics are as the table says\n"
    assert cli.run(["topics", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["found"] for row in rows if row["topic"].endswith(".events")] == [4]


def test_the_table_of_topics_is_shown_without_a_broker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERENNIAL_KAFKA__SERVERS", "127.0.0.1:1")

    assert cli.run(["topics", "list"]) == 0

    shown = capsys.readouterr()
    rows = [line.split() for line in shown.out.splitlines()[1:]]
    assert [row[0] for row in rows] == [f"perennial.{topic.name}" for topic in TOPICS]
    assert {row[2] for row in rows} == {"-"}
    assert shown.err.startswith("perennial: no broker answers at 127.0.0.1:1 ")
    assert cli.run(["topics", "list", "--json"]) == 0
    assert {row["found"] for row in json.loads(capsys.readouterr().out)} == {None}


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0

    assert capsys.readouterr().out == f"perennial {version('perennial')}\n"


@pytest.mark.usefixtures("kafka")
def test_a_worker_refuses_to_start_without_topics(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["worker"]) == 2

    assert "run: perennial topics create" in capsys.readouterr().err


@pytest.mark.usefixtures("kafka")
def test_apply_publishes_an_unchanged_configuration_only_once(capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["topics", "create"])
    cli.run(["init"])
    capsys.readouterr()

    assert cli.run(["apply", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 1
    assert cli.run(["apply"]) == 0
    assert "nothing has changed: configuration version 1 stays in use" in capsys.readouterr().out


def test_check_accepts_the_files_of_init(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["init", "--preset", "saas"]) == 0
    assert cli.run(["check", "--offline"]) == 0
    assert "next: perennial check, then perennial up" in capsys.readouterr().out
    assert cli.run(["init"]) == 2


def test_check_ends_with_exit_code_2_if_a_finding_failed(capsys: pytest.CaptureFixture[str]) -> None:
    Path("perennial.yaml").write_text("version: 1\nrules: [{name: x, when: {}}]\n")

    assert cli.run(["check", "--offline", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert [finding["what"] for finding in found if finding["result"] == "failed"] == ["rules"]


def test_config_shows_each_setting_with_its_source_and_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    monkeypatch.setenv("PERENNIAL_KAFKA__SASL", "{mechanism: PLAIN, username: u, password: {env: NOT_SET_HERE}}")
    monkeypatch.setenv("PERENNIAL_HTTP__PORT", "8123")
    Path("perennial.yaml").write_text(
        "version: 1\n"
        "kafka:\n"
        "  partitions: 6\n"
        "delivery:\n"
        "  twilio: {account_sid: A, from: '+1', auth_token: {env: TOKEN}}\n"
        "rules: [{name: x, when: {first_purchase: true}}]\n"
    )

    assert cli.run(["config", "show", "--json"]) == 0

    out = capsys.readouterr().out
    rows = {row["setting"]: (row["value"], row["source"]) for row in json.loads(out)}
    assert rows["http.port"] == (8123, "environment PERENNIAL_HTTP__PORT")
    assert rows["delivery.twilio.auth_token"] == ("*** (env: TOKEN)", "perennial.yaml:5")
    assert rows["rules[0].name"] == ("x", "perennial.yaml:6")
    assert rows["kafka.partitions"] == (6, "perennial.yaml:3")
    assert rows["kafka.prefix"] == ("perennial.", "default")
    assert rows["kafka.servers"] == ("127.0.0.1:9092", "default")
    assert "hunter2" not in out


def test_config_shows_a_table_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["config", "show"]) == 0

    assert "kafka.prefix" in capsys.readouterr().out


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["config", "schema"]) == 0

    assert json.loads(capsys.readouterr().out)["title"] == "perennial.yaml"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_the_broker_runs_until_a_signal_stops_it(number: int, tmp_path: Path) -> None:
    with subprocess.Popen(perennial("broker", "--port", "0"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        host, _, port = process.stdout.readline().strip().rpartition(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        tansu = _child_of(process.pid)

        process.send_signal(number)

        assert process.wait(30) == 0
    await_gone(tansu)


def test_a_command_whose_broker_dies_ends_with_one_line(tmp_path: Path) -> None:
    command = perennial("broker", "--port", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        os.kill(_child_of(process.pid), signal.SIGKILL)

        _, errors = process.communicate(timeout=10)

    assert process.returncode == 1
    assert errors.startswith("perennial: the embedded broker ended (killed by SIGKILL); its log: ")


def _child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    await_true(lambda: children.read_text().strip() != "")
    return int(children.read_text().split()[0])
