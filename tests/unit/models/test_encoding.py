"""Every input is decoded in one place, so that every input may begin with the byte order mark."""

from __future__ import annotations

import re

import pytest

from tests.support.paths import ROOT

OWN_FILES = {
    "stream/installation/embedded_broker.py",  # the log of a child process
    "stream/presets/__init__.py",  # files of this package
    "stream/demo/session.py",  # a file that this module has just written
}
PLAIN = re.compile(
    r"""read_text\(\s*(?:\)|encoding="utf-8")|(?:open\(|TextIOWrapper\()[^\n]*encoding="utf-8(?:-sig)?\""""
)
WRITES = re.compile(r"""open\("?[wa]b?["),]|"[wa]",""")


@pytest.mark.parametrize("package", ["models", "agents", "stream", "monitoring"])
def test_every_input_is_decoded_with_or_without_the_byte_order_mark(package: str) -> None:
    found = [
        f"{name}: {line.strip()}"
        for path in sorted((ROOT / package).rglob("*.py"))
        if (name := path.relative_to(ROOT).as_posix()) not in OWN_FILES
        for line in path.read_text(encoding="utf-8").splitlines()
        if PLAIN.search(line) and not WRITES.search(line)
    ]

    assert found == []
