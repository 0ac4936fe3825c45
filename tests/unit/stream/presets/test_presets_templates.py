"""The templates of the presets read well for a user with every detail, and for an unknown user."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.configuration.templates import UNSUBSCRIBE_PLACEHOLDER
from models.engage.preview import preview, sample
from models.engage.recipient import Recipient
from models.events import CHANNELS, Channel
from models.profile.state import Customer
from stream.presets import files, write
from stream.settings.loading import load
from stream.settings.rules import read_configuration, require_rendering

NOW = 1_700_000_000_000
TEMPLATES = [
    (preset, name.split("/")[1])
    for preset in ("shop", "saas")
    for name in files(preset)
    if name.startswith("templates/") and name.endswith("/text.liquid")
]


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("named", TEMPLATES, ids="/".join)
@pytest.mark.parametrize("known", [True, False])
def test_every_template_reads_well_on_every_channel(
    named: tuple[str, str], channel: Channel, known: bool, tmp_path: Path
) -> None:
    preset, name = named
    write(preset, tmp_path)
    rules = read_configuration(load(tmp_path / "perennial.yaml", environment={}))

    shown = preview(
        rules, name, rules.templates[name], Recipient("u1", sample() if known else Customer(), NOW), channel
    )

    said = " ".join([shown.content.subject, shown.content.text, shown.content.html or ""])
    assert not [bad for bad in (", ,", " ,", "None", "{{") if bad in said]
    assert shown.content.text.startswith("Hello Ada" if known else "Hello there") or channel == "sms"
    assert shown.missing == ""
    if channel == "email":
        assert (UNSUBSCRIBE_PLACEHOLDER in shown.content.text) == (shown.rule.category == "marketing")
        assert shown.content.text.count(UNSUBSCRIBE_PLACEHOLDER) <= 1


def test_the_subject_and_the_explanation_of_a_left_cart_count_the_same(tmp_path: Path) -> None:
    write("shop", tmp_path)
    rules = read_configuration(load(tmp_path / "perennial.yaml", environment={}))

    shown = preview(rules, "cart_reminder", rules.templates["cart_reminder"], Recipient("u1", sample(), NOW), "email")

    assert shown.content.subject == "You left 2 items in your cart"
    assert shown.decision is not None
    assert shown.decision.why.endswith("cart left with 2 items")


@pytest.mark.parametrize("preset", ["shop", "saas"])
def test_every_template_suits_every_kind_of_user(preset: str, tmp_path: Path) -> None:
    write(preset, tmp_path)
    settings = load(tmp_path / "perennial.yaml", environment={})

    require_rendering(settings, read_configuration(settings))
