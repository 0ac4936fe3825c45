"""New and changed journeys need a test that passes, for ``perennial apply`` and ``perennial check``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stream.cli import run
from stream.cluster import topics
from stream.installation.check import CheckOptions, findings, require_ready
from stream.installation.journey_tests import changed_journeys, files_of, run_file
from stream.settings.loading import Settings, load
from stream.settings.rules import read_configuration
from tests.support.brokers import Cluster

JOURNEY = """\
version: 1
kafka: {kafka}
journeys:
  - name: welcome
    enter: {{on: {{event: Signed Up}}}}
    exit: [{{after: 9d, as: late}}]
    steps:
      - {{id: pause, wait: {wait}}}
      - {{id: mail, send: welcome}}
"""
TEST = """\
of: welcome
start: 2026-03-02T10:00:00Z
given: [{user: ada, traits: {email: ada@example.org}, consent: {email: granted}}]
steps:
  - {at: +0s, event: {type: custom, user: ada, name: Signed Up}}
  - {expect: {message: welcome, at: +1d}}
"""


def write(folder: Path, kafka: str = "{}", wait: str = "1d", test: str | None = TEST) -> Path:
    for part in ("subject", "text"):
        file = folder / "templates" / "welcome" / f"{part}.liquid"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"the {part}")
    if test is not None:
        (folder / "journeys").mkdir(exist_ok=True)
        (folder / "journeys" / "welcome.test.yaml").write_text(test)
    settings = folder / "perennial.yaml"
    settings.write_text(JOURNEY.format(kafka=kafka, wait=wait))
    return settings


def checked(file: Path, *without_test: str) -> list[tuple[str, str, str]]:
    options = CheckOptions(offline=True, without_test=without_test)
    found = findings(load(file, environment={}), options=options)
    return [(one.name, one.result, one.says) for one in found if one.what == "journey_tests"]


def test_a_journey_with_a_test_that_passes_is_fine(tmp_path: Path) -> None:
    ((name, result, says),) = checked(write(tmp_path))

    assert (name, result) == ("journey_tests.welcome", "ok")
    assert re.fullmatch(r"welcome\.test\.yaml: 1 run in \d+ ms", says)


def test_a_test_that_fails_is_named_with_its_line(tmp_path: Path) -> None:
    ((_, result, says),) = checked(write(tmp_path, wait="2d"), "welcome")

    assert result == "failed"
    assert says == (
        f"{tmp_path}/journeys/welcome.test.yaml:6: steps[1].expect.message: expected welcome to ada; came no message"
    )


def test_a_journey_without_a_test_fails_the_check_unless_it_is_waived_but_an_installation_starts(
    tmp_path: Path,
) -> None:
    file = write(tmp_path, test=None)

    assert checked(file) == [
        (
            "journey_tests.welcome",
            "failed",
            (
                "no file journeys/*.test.yaml tests the journey welcome, so perennial apply refuses it; "
                "--without-test welcome waives it"
            ),
        )
    ]
    ((_, result, says),) = checked(file, "welcome")
    assert (result, says.endswith("--without-test waives it")) == ("note", True)
    assert require_ready(load(file, environment={})) == []


def test_a_waived_name_that_no_journey_has_fails_the_check(tmp_path: Path) -> None:
    first, _ = checked(write(tmp_path), "welcme")

    assert first == (
        "journey_tests",
        "failed",
        "--without-test welcme: there is no such journey (did you mean welcome?); journeys: welcome",
    )


@pytest.mark.parametrize(
    ("test", "place", "problem"),
    [
        ("of: [", "welcome.test.yaml:1", "YAML"),
        (TEST.replace("message", "mesage"), "welcome.test.yaml:6", "one of message"),
        (TEST.replace("Signed Up", "Signed Up, amout: 3"), "welcome.test.yaml:5", ""),
        ("[]", "welcome.test.yaml", "a mapping with of, start, steps"),
    ],
)
def test_a_file_that_cannot_be_read_fails_with_its_line(tmp_path: Path, test: str, place: str, problem: str) -> None:
    settings = load(write(tmp_path, test=test), environment={})
    (file,) = files_of(settings)

    (failure,) = run_file(file, read_configuration(settings)).failures

    assert failure.place.endswith(place)
    assert problem in failure.step.expected


def test_only_new_and_changed_journeys_need_a_test(tmp_path: Path) -> None:
    known = read_configuration(load(write(tmp_path), environment={}))
    changed = read_configuration(load(write(tmp_path, wait="2d"), environment={}))

    assert changed_journeys(known, None) == ["welcome"]
    assert changed_journeys(known, known) == []
    assert changed_journeys(changed, known) == ["welcome"]


def test_apply_refuses_what_has_no_test_that_passes(
    tmp_path: Path, embedded: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    reached = embedded.connection
    kafka = f"{{servers: '{reached.servers}', embedded: true, prefix: {reached.prefix}, partitions: 1}}"
    file = write(tmp_path, kafka, test=None)
    settings: Settings = load(file, environment={})
    topics.create(settings.connection(), settings.partitions)

    def applied(*options: str) -> tuple[int, str]:
        code = run(["apply", "--config", str(file), *options])
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    code, said = applied()
    assert (code, "no file journeys/*.test.yaml tests it" in said) == (2, True)
    assert "To apply without a test: --without-test welcome" in said
    code, said = applied("--without-test", "welcom")
    assert (code, "(did you mean welcome?)" in said) == (2, True)
    code, said = applied("--without-test", "welcome")
    assert (code, "version 1 is in use" in said) == (0, True)
    code, said = applied()
    assert (code, "nothing has changed" in said) == (0, True), "it is in use, so it needs no test"
    write(tmp_path, kafka, wait="2d")
    code, said = applied()
    assert (code, "its test fails: welcome.test.yaml" in said) == (2, True)
    write(tmp_path, kafka, wait="2d", test=TEST.replace("+1d", "+2d"))
    code, said = applied()
    assert (code, "version 2 is in use" in said) == (0, True)
