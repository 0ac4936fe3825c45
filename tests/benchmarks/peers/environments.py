"""A virtual environment for each peer, with the exact versions of its requirements file."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from tests.support.paths import ROOT

REQUIREMENTS = Path(__file__).parent / "requirements"
ENVIRONMENTS = ROOT / "build" / "peers"


def python_of(peer: str) -> str:
    """Return the interpreter of a peer's environment; create the environment if it is missing or has other versions.

    ``perennial`` itself runs in the current environment.
    """
    if peer == "perennial":
        return sys.executable
    wanted = REQUIREMENTS / f"{peer}.txt"
    folder = ENVIRONMENTS / peer
    stamp, mark = folder / ".installed", hashlib.sha256(wanted.read_bytes()).hexdigest()
    python = folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != mark:
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(wanted)], check=True)
        stamp.write_text(mark)
    return str(python)


def version_of(peer: str) -> str:
    """Return the pinned version of the peer."""
    package = {"faust": "faust-streaming", "quix": "quixstreams"}.get(peer, peer)
    lines = (REQUIREMENTS / f"{peer}.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))
