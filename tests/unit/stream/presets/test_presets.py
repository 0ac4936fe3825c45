"""The files that ``perennial init`` writes can be used without a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.configuration.parsing import parse
from stream.installation.check import findings
from stream.installation.journey_tests import files_of, run_file
from stream.presets import FilesInTheWay, files, write
from stream.settings import plain_yaml
from stream.settings.formatting import formatted
from stream.settings.loading import load
from stream.settings.rules import read_configuration
from tests.support.paths import ROOT

both = pytest.mark.parametrize("preset", ["shop", "saas"])


@both
def test_a_preset_passes_the_check(preset: str, tmp_path: Path) -> None:
    write(preset, tmp_path)

    found = list(findings(load(tmp_path / "perennial.yaml", environment={}), offline=True))

    assert {finding.name: finding.says for finding in found if finding.result != "ok"} == {}
    assert {"settings", "rules", "templates", "lifecycle", "delivery"} < {finding.name for finding in found}
    assert "9 stages" in next(finding.says for finding in found if finding.name == "lifecycle")


@both
def test_every_template_of_a_preset_is_used(preset: str, tmp_path: Path) -> None:
    write(preset, tmp_path)

    used = read_configuration(load(tmp_path / "perennial.yaml", environment={})).templates

    assert set(used) == {place.name for place in (tmp_path / "templates").iterdir()}


@both
def test_marketing_is_capped_and_not_sent_at_night(preset: str, tmp_path: Path) -> None:
    write(preset, tmp_path)

    read = read_configuration(load(tmp_path / "perennial.yaml", environment={}))

    assert read.caps
    assert read.quiet_hours is not None


@both
def test_the_journeys_of_a_preset_pass_their_tests_and_have_a_goal_a_control_group_and_exits(
    preset: str, tmp_path: Path
) -> None:
    write(preset, tmp_path)
    settings = load(tmp_path / "perennial.yaml", environment={})
    configuration = read_configuration(settings)

    results = [run_file(file, configuration, shakes=True) for file in files_of(settings)]

    assert {result.of for result in results} == {journey.name for journey in configuration.journeys} != set()
    assert [failure for result in results for failure in result.failures] == []
    for journey in configuration.journeys:
        assert journey.goal is not None
        assert journey.holdout
        assert len(journey.exits) >= 2


@both
def test_the_example_of_a_segment_is_valid(preset: str) -> None:
    commented = files(preset)["perennial.yaml"].split("\n# segments:\n")[1].split("\n\n")[0]
    lines = [line.removeprefix("# ") for line in ["# segments:", *commented.splitlines()]]

    assert len(parse(plain_yaml.read("\n".join(lines))[0], {}).segments) == 1


@both
def test_a_preset_is_in_canonical_form(preset: str) -> None:
    text = files(preset)["perennial.yaml"]

    assert formatted(text).text == text


def test_existing_files_are_not_overwritten_without_replace(tmp_path: Path) -> None:
    (tmp_path / "perennial.yaml").write_text("mine")

    with pytest.raises(FilesInTheWay, match=r"perennial\.yaml already exists; --force"):
        write("shop", tmp_path)
    assert not (tmp_path / "templates").exists()
    assert (tmp_path / "perennial.yaml").read_text() == "mine"

    write("shop", tmp_path, replace=True)
    assert (tmp_path / "perennial.yaml").read_text() == files("shop")["perennial.yaml"]


def test_the_target_of_a_link_is_not_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "templates").mkdir(parents=True)
    (mine / "perennial.yaml").write_text("mine")
    here = tmp_path / "here"
    here.mkdir()
    (here / "perennial.yaml").symlink_to(mine / "perennial.yaml")
    (here / "templates").symlink_to(mine / "templates")

    write("saas", here, replace=True)

    assert (mine / "perennial.yaml").read_text() == "mine"
    assert list((mine / "templates").iterdir()) == []
    assert (here / "templates" / "welcome" / "text.liquid").exists()


def test_the_example_of_the_repository_is_the_preset_for_a_shop() -> None:
    assert (ROOT / "perennial.yaml").read_text() == files("shop")["perennial.yaml"]
    for folder in ("templates", "journeys"):
        assert (ROOT / folder).resolve() == ROOT / "stream" / "presets" / "shop" / folder
