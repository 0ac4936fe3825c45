"""Play a story with a Python SDK: ``python play_python.py segment|rudder STORY ENDPOINT KEY``.

It runs in the environment of the SDK, so it imports nothing of this project. Only the endpoint is configured.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

MODULES = {"segment": "segment.analytics.client", "rudder": "rudderstack.analytics.client"}


def main(brand: str, file: str, endpoint: str, key: str) -> None:
    errors: list[str] = []
    # the SDK calls on_error when it gives up a batch
    client = import_module(MODULES[brand]).Client(
        key, host=endpoint, on_error=lambda error, batch: errors.append(f"{len(batch)} events: {error!r}")
    )
    called = []
    for visitor in json.loads(Path(file).read_text()):
        named = False
        for call in visitor["calls"]:
            named = named or call["call"] == "identify"
            called.append([visitor["user"], call["step"], call.get("at", time.time_ns() // 1_000_000)])
            getattr(client, call["call"])(**arguments(call, visitor, named=named and "elsewhere" not in call))
    client.flush()
    client.join()
    print(json.dumps({"called": called, "errors": errors}))


def arguments(call: dict[str, Any], visitor: dict[str, Any], *, named: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"user_id": visitor["user"] if named else None}
    if call["call"] == "alias":
        found["previous_id"] = visitor["anonymous"]
    else:
        found["anonymous_id"] = visitor["anonymous"]
    if "group" in call:
        found["group_id"] = call["group"]
    if "at" in call:
        found["timestamp"] = datetime.fromtimestamp(call["at"] / 1000, UTC)
    found |= {name: call[name] for name in ("event", "name", "category", "properties", "traits") if name in call}
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
