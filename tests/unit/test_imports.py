"""Importing a module only defines names, so that doctests, tools and the help may import every module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

LOOK = """
import importlib, logging, os, pkgutil, signal, sys, threading

package, = sys.argv[1:]

def state():
    return {
        "environment": dict(os.environ),
        "folder": os.listdir(),
        "where": os.getcwd(),
        "threads": [thread.name for thread in threading.enumerate()],
        "handlers": logging.getLogger().handlers[:],
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "hooks": (sys.excepthook, sys.stdout, sys.stderr),
    }

# imported first, because their own changes at import are not ours
theirs = ("faust", "aiokafka", "kafka", "aiohttp", "river", "scipy.sparse", "torch", "rich.console", "typer")
for name in theirs:
    importlib.import_module(name)
before = state()
found = importlib.import_module(package)
names = [module.name for module in pkgutil.walk_packages(found.__path__, package + ".")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
changed = {what: (was, now) for what, was, now in zip(before, before.values(), state().values()) if was != now}
print(len(names), changed)
"""


@pytest.mark.parametrize("package", ["stream", "agents", "models", "monitoring"])
def test_importing_a_package_only_defines_names(package: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOOK, package], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
    count, _, changed = ended.stdout.partition(" ")
    assert int(count) >= len([path for path in (ROOT / package).rglob("[a-z]*.py") if path.stem != "__init__"]) > 0
    assert changed == "{}\n"
    assert ended.stderr == ""


def test_models_and_agents_never_read_the_clock() -> None:
    files = [path for package in ("models", "agents") for path in (ROOT / package).rglob("*.py")]

    reading = [path for path in files if "now_ms" in path.read_text(encoding="utf-8")]

    assert reading == [ROOT / "models" / "units.py"]
