"""``perennial pause`` and ``perennial resume`` refuse an unknown channel."""

from __future__ import annotations

import pytest

from stream.cli import run


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_an_unknown_channel_is_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "fax"]) == 2
    assert "'fax' is not one of 'email', 'sms'" in capsys.readouterr().err
