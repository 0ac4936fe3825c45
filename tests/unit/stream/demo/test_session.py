"""The demo's settings are those of the preset, with the ports of this run."""

from __future__ import annotations

from pathlib import Path

from stream import presets
from stream.demo.session import settings_file
from stream.settings.loading import load
from stream.settings.rules import read_configuration


def test_the_demo_plays_every_rule_and_journey_of_the_preset(tmp_path: Path) -> None:
    """A key such as ``on`` is a word in YAML 1.2, and stays one when the demo writes the file again."""
    (tmp_path / "preset").mkdir()
    presets.write("shop", tmp_path / "preset")
    file = settings_file(tmp_path, 19_092, {"worker.port": 18_080})

    preset = read_configuration(load(tmp_path / "preset" / "perennial.yaml", environment={}))
    settings = load(file, environment={})
    played = read_configuration(settings)

    assert settings.servers == "127.0.0.1:19092"
    assert settings.sections.worker.port == 18_080
    assert played.rules == preset.rules
    assert played.journeys == preset.journeys != ()
