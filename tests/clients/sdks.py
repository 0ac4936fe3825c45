"""The six installed SDKs, and the way in which each plays a story.

Every driver gets the file of the story, the address of the door and a write key. It plays the story with the public
interface of the SDK, and prints one line of JSON with these fields:

- ``called``: visitor, step and time of each call. It is the time that the caller gave the SDK, if any; otherwise the
  time of the driver's clock.
- ``errors``: errors that the SDK reported to its caller.
- ``anonymous``, for a browser: the id that the SDK gave each visitor.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.install import BUILD, python_of
from tests.clients.story import Visitor

DRIVERS = Path(__file__).parent / "drivers"
PLAY_WITHIN_S = 120.0
"""How long a story may take, including its faults, seconds."""


@dataclass(frozen=True, slots=True)
class Sdk:
    """One SDK.

    Attributes
    ----------
    name
        ``package version``, as in the documentation.
    argv
        Command of its driver, without the story.
    browser
        Whether it runs in a browser. Then its key may be in a page, and it makes its own anonymous ids.
    """

    name: str
    argv: tuple[str, ...]
    browser: bool = False

    @property
    def slug(self) -> str:
        """Name with which ids and files can begin."""
        return self.name.replace("@", "").replace("/", "-").replace(" ", "-")


def _python(name: str, brand: str) -> Sdk:
    return Sdk(name, (str(python_of(brand)), str(DRIVERS / "play_python.py"), brand))


def _node(name: str, brand: str) -> Sdk:
    return Sdk(name, ("node", str(DRIVERS / "play_node.cjs"), brand))


def _browser(name: str, brand: str) -> Sdk:
    return Sdk(name, (sys.executable, "-m", "tests.clients.drivers.play_browser", brand), browser=True)


SDKS = (
    _python("segment-analytics-python 2.4.0", "segment"),
    _python("rudder-sdk-python 2.1.9", "rudder"),
    _node("@segment/analytics-node 3.1.0", "segment"),
    _node("@rudderstack/rudder-sdk-node 3.0.13", "rudder"),
    _browser("@segment/analytics-next 1.84.3", "segment"),
    _browser("@rudderstack/analytics-js 3.34.1", "rudder"),
)


@dataclass(frozen=True, slots=True)
class DriverReport:
    """Output of a driver.

    Attributes
    ----------
    called
        Time of each call, milliseconds, by visitor and step; see ``called`` above.
    errors
        Errors that the SDK reported.
    anonymous
        Id of each visitor before the sign-up, by user id.
    """

    called: dict[tuple[str, int], int]
    errors: list[str]
    anonymous: dict[str, str]


@asynccontextmanager
async def playing(
    sdk: Sdk, visitors: list[Visitor], endpoint: str, key: str, folder: Path
) -> AsyncIterator[DriverReport]:
    """Play a story; the block begins after the last call. A browser's pages stay open until the end of the block."""
    story = folder / "story.json"
    story.write_text(json.dumps([{"user": v.user, "anonymous": v.anonymous, "calls": v.calls} for v in visitors]))
    log = folder / "driver.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *sdk.argv,
            *(str(story), endpoint, key),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=1 << 22,
            start_new_session=True,
            env={**os.environ, "NODE_PATH": str(BUILD / "npm" / "node_modules")},
        )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        async with asyncio.timeout(PLAY_WITHIN_S):
            line = await process.stdout.readline()
        assert line, f"the driver printed nothing: {log.read_text()[-2000:]}"
        yield _report(json.loads(line), visitors)
        process.stdin.close()
        async with asyncio.timeout(PLAY_WITHIN_S):
            assert await process.wait() == 0, log.read_text()[-2000:]
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _report(said: dict[str, Any], visitors: list[Visitor]) -> DriverReport:
    called = {(user, step): at for user, step, at in said["called"]}
    return DriverReport(called, said["errors"], said.get("anonymous") or {v.user: v.anonymous for v in visitors})
