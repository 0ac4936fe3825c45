"""Install the SDKs and a browser: ``python -m tests.clients.install``.

The SDKs come from PyPI and npm, in pinned versions, and are installed in ``build/clients``. Each Python SDK has its own
virtual environment, because the SDKs need other versions of our dependencies. The npm packages share one
``node_modules``. An existing installation with the same pins is kept. The browser is Debian's package ``chromium``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "clients"
CHROMIUM = Path("/usr/bin/chromium")
PINS = {"segment": HERE / "requirements" / "segment.txt", "rudder": HERE / "requirements" / "rudder.txt"}
PACKAGES = (HERE / "package.json", HERE / "package-lock.json")


class NotInstalled(Exception):
    """An installation failed; the message says what to do."""


def python_of(brand: str) -> Path:
    """Return the interpreter of the environment with a brand's Python SDK."""
    return BUILD / brand / "bin" / "python"


def main() -> None:
    """Install all missing parts, and print each step."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / ".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        for brand, pins in PINS.items():
            _environment(brand, pins)
        _node_modules()
        _chromium()


def _environment(brand: str, pins: Path) -> None:
    folder = BUILD / brand
    with _stamped(folder, pins) as wanted:
        if wanted:
            print(f"installing {pins.name} into {folder} ...", flush=True)
            venv.create(folder, with_pip=True, clear=True)
            pip = [str(python_of(brand)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, "--no-deps", "-r", str(pins)])
            _run([str(python_of(brand)), "-m", "pip", "--disable-pip-version-check", "check"])


def _node_modules() -> None:
    if shutil.which("npm") is None:
        raise NotInstalled("npm is missing: install Node.js 20 or newer with npm (Debian: apt-get install nodejs npm)")
    folder = BUILD / "npm"
    with _stamped(folder, *PACKAGES) as wanted:
        if wanted:
            print(f"installing {PACKAGES[0].name} into {folder} ...", flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for file in PACKAGES:
                shutil.copy(file, folder)
            # no package may run an installation script, so an SDK is used as it was published
            quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
            _run(["npm", "ci", "--include=dev", "--ignore-scripts", *quiet], folder)


def _chromium() -> None:
    if CHROMIUM.exists():
        return
    if os.geteuid() or shutil.which("apt-get") is None:
        raise NotInstalled(f"{CHROMIUM} is missing: install Debian's package chromium (apt-get install chromium)")
    print("installing Debian's chromium ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "-qq", "update"], env=environment)
    _run(["apt-get", "-qq", "install", "-y", "chromium"], env=environment)


@contextmanager
def _stamped(folder: Path, *pins: Path) -> Iterator[bool]:
    """Yield whether a folder must be created again, and write its stamp afterwards."""
    stamp = folder / ".pins"
    # the version of the interpreter counts, because a virtual environment cannot move to another one
    pinned = hashlib.sha256(sys.version.encode() + b"".join(file.read_bytes() for file in pins)).hexdigest()
    wanted = not stamp.exists() or stamp.read_text() != pinned
    yield wanted
    if wanted:
        stamp.write_text(pinned)


def _run(argv: list[str], folder: Path | None = None, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotInstalled(f"{' '.join(argv)} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    try:
        main()
    except NotInstalled as error:
        sys.exit(f"make test-clients: {error}")
