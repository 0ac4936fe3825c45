"""``perennial preview`` renders the templates that ``perennial init`` writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stream import cli
from stream.presets import write


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("shop", tmp_path)
    return tmp_path


def test_a_template_is_shown_for_a_sample(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["preview", "cart_reminder"]) == 0

    shown = capsys.readouterr().out
    assert "Subject: You left 2 items in your cart" in shown
    assert "2 x sku-1042" in shown


def test_json_has_the_same_content(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["preview", "win_back", "--channel", "sms", "--json"]) == 0

    said = json.loads(capsys.readouterr().out)
    assert (said["template"], said["channel"], said["rule"], said["html"]) == ("win_back", "sms", "win_back", None)
    assert said["text"].startswith("Ada, ")


def test_a_user_can_be_described_in_a_file(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "eve.json").write_text('{"traits": {"firstName": "<Eve>"}, "orders": 1}')

    assert cli.run(["preview", "win_back", "--facts", "eve.json", "--html", "eve.html"]) == 0

    assert "Subject: <Eve>, it has been a while" in capsys.readouterr().out
    assert "Hello &lt;Eve&gt;" in (shop / "eve.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["win_bak"], "did you mean win_back?"),
        (["win_back", "--facts", "nobody.json"], "nobody.json"),
        (["refund", "--html", "x.html", "--channel", "sms"], "no HTML part"),
    ],
)
def test_a_users_mistake_is_reported_in_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["preview", *arguments]) == 2

    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_a_file_with_an_unknown_field_is_a_mistake(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "eve.json").write_text('{"trait": {}}')

    assert cli.run(["preview", "win_back", "--facts", "eve.json"]) == 2
    assert "trait" in capsys.readouterr().err


def test_a_template_that_fails_for_other_users_is_reported_with_file_and_line(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shop / "templates" / "win_back" / "text.liquid"
    text.write_text("Hello\n{{ 100 | divided_by: orders }}")

    assert cli.run(["preview", "win_back"]) == 0

    said = capsys.readouterr().out
    assert "33" in said
    assert (
        "it fails: templates/win_back/text.liquid:2: divided_by: can't divide by 0 "
        "(for a user without values, for a user with half of the values)" in said
    )


def test_a_template_that_fails_for_the_shown_user_is_reported_with_file_and_line(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "templates" / "refund" / "subject.liquid").write_text("{{ 1 | divided_by: 0 }}")

    assert cli.run(["preview", "refund"]) == 2

    said = capsys.readouterr().err
    assert "for sample: templates/refund/subject.liquid:1: divided_by: can't divide by 0" in said
    assert said.count("\n") == 1


def test_check_fails_for_a_template_that_fails_and_for_a_receipt_without_a_fallback(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "templates" / "refund" / "text.liquid").write_text("{{ first_name }}")
    rendered = cli.run(["check", "--offline"]), capsys.readouterr().out
    (shop / "templates" / "refund" / "fallback.liquid").unlink()
    missing = cli.run(["check", "--offline"]), capsys.readouterr().out

    assert rendered[0] == missing[0] == 2
    assert "templates/refund/text.liquid: the result is empty (for a user without values" in rendered[1]
    assert "refund/fallback.liquid: found nothing; allowed: a text to send if the template" in missing[1]
