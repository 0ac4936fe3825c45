"""Stock Faust doing nothing but reading a topic: the yardstick of ``make bench``.

    python -m tests.benchmarks.stock_faust SERVERS TOPIC PARTITIONS EXPECTED ANSWER

The agent counts raw values and nothing else: no decoding, no state, no output. The settings are Faust's defaults, save
those without which it does not run here (no topics of its own, no web server). When the expected number has been read
the answer goes into a file (Faust prints to standard output as it likes), ``{"events": ..., "seconds": ..., "cpu":
...}``, timed from the first event to the last; then it stays until it is stopped.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import faust


def create_app(servers: str, topic: str, partitions: int, expected: int, answer: Path) -> faust.App:
    """Build the application: one topic, one agent."""
    app = faust.App(
        "stock-faust",
        broker=f"kafka://{servers}",
        store="memory://",
        topic_partitions=partitions,
        topic_allow_declare=False,  # the topic is there, and auto-creation is off
        topic_disable_leader=True,
        web_enabled=False,
        datadir=answer.parent,
        broker_session_timeout=6.0,  # the embedded broker holds a join for half of it
        broker_heartbeat_interval=1.0,
    )
    source = app.topic(topic, value_serializer="raw", key_serializer="raw")

    async def count(values: Any) -> None:
        began, cpu, seen = 0.0, 0.0, 0
        async for _ in values:
            if not seen:
                began, cpu = time.perf_counter(), time.process_time()
            seen += 1
            if seen == expected:
                seconds = time.perf_counter() - began
                written = answer.with_suffix(".part")
                written.write_text(json.dumps({"events": seen, "seconds": seconds, "cpu": time.process_time() - cpu}))
                written.replace(answer)

    app.agent(source, name="count")(count)
    return app


def main(arguments: list[str]) -> None:
    """Run the worker until it is stopped."""
    servers, topic, partitions, expected, answer = arguments
    app = create_app(servers, topic, int(partitions), int(expected), Path(answer))
    app.Worker(loglevel="ERROR", quiet=True, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1:])
