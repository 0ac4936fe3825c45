"""A virtual environment for each peer, with the exact versions of its requirements file."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.support.paths import ROOT

REQUIREMENTS = Path(__file__).parent / "requirements"
JOB = "job.txt"
"""Requirements of the work that all peers do (``job.py``, ``wire.py``)."""
ENVIRONMENTS = ROOT / "build" / "peers"
LINES_KEPT = 15
"""Number of last lines of a log that explain why a peer has no figure."""


class NotInstallable(RuntimeError):
    """The pinned packages of a peer cannot be installed on this machine; the message holds the last lines of pip."""


def missing_of(peers: Iterable[str], say: Callable[[str], None]) -> dict[str, str]:
    """Prepare the environment of every peer; return the reason for each peer that cannot be installed here."""
    missing: dict[str, str] = {}
    for peer in peers:
        try:
            say(f"{peer}: {python_of(peer)}")
        except NotInstallable as error:
            missing[peer] = str(error)
            say(f"{peer}: {error}")
    return missing


def python_of(peer: str) -> str:
    """Return the interpreter of a peer's environment; create the environment if it is missing or has other versions.

    ``perennial`` itself runs in the current environment.

    Raises
    ------
    NotInstallable
        pip cannot install the pinned packages.
    """
    if peer == "perennial":
        return sys.executable
    wanted = [REQUIREMENTS / f"{peer}.txt", REQUIREMENTS / JOB]
    folder = ENVIRONMENTS / peer
    stamp, mark = folder / ".installed", hashlib.sha256(b"".join(file.read_bytes() for file in wanted)).hexdigest()
    python = folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != mark:
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, *(f"--requirement={file}" for file in wanted)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise NotInstallable(reason_of(done.stderr.splitlines()))
        stamp.write_text(mark)
    return str(python)


def reason_of(log: Sequence[str]) -> str:
    """Return pip's last error, followed by the last lines of its log.

    Examples
    --------
    >>> print(reason_of(["ERROR: ignored versions: 1, 2", "ERROR: No matching distribution found for a==3", ""]))
    cannot be installed here: No matching distribution found for a==3
    ERROR: ignored versions: 1, 2
    ERROR: No matching distribution found for a==3
    <BLANKLINE>
    """
    errors = [line.removeprefix("ERROR: ") for line in log if line.startswith("ERROR: ")]
    return "\n".join((f"cannot be installed here: {errors[-1] if errors else 'pip failed'}", *log[-LINES_KEPT:]))


def version_of(peer: str) -> str:
    """Return the pinned version of the peer."""
    package = {"faust": "faust-streaming", "quix": "quixstreams"}.get(peer, peer)
    lines = (REQUIREMENTS / f"{peer}.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))
