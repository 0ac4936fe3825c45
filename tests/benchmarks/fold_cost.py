"""Comparison of the fold of this checkout with the fold of another one, on the same logs: their cost, or their results.

    python -m tests.benchmarks.fold_cost OTHER [--logs single,visits,stages,month,retail] [--batch 2000] [--runs 5]
    python -m tests.benchmarks.fold_cost OTHER --compare results|common-results|instructions

OTHER is the path of the other checkout. Each run is a separate process, and the two checkouts run in turn. Other
programs on the machine change the microseconds of both checkouts, so only the ratio is reliable.

With ``--compare instructions``, valgrind counts the instructions of the processor, which no other program changes.
Code with fewer instructions may still take longer if it waits for memory. Each checkout folds the first half of a log,
and then the whole log. The difference of both is the cost of the second half. A run takes fifty times as long.

With ``--compare results``, each output and each decoded user is compared. The outputs must have the same sequence,
integers and texts must be the same, and floats may differ by 1e-12. The differences are listed, and a person must check
them: a decision may differ only if a score lies within 1e-12 of a bound. With ``--compare common-results``, what only
this checkout has is left out: its topics and timers (:data:`ADDED_TOPICS`, :data:`ADDED_TIMERS`), and new fields.
So are message ids that only the other one still remembers.
"""

from __future__ import annotations

import base64
import os
import pickle
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from tests.benchmarks import fold_run
from tests.benchmarks.fold_logs import LOGS, write_log
from tests.support.paths import ROOT

MAX_DIFFERENCE = 1e-12
"""Maximum difference of two floats, relative to the larger absolute value, or to 1 if both are smaller."""
VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
MAX_LISTED = 20
"""Maximum number of differences that are printed for a log."""
ADDED_TOPICS = frozenset({"examples.population"})
"""Topics that a fold of 3d28661 does not write."""
ADDED_TIMERS = frozenset({"buyer"})
"""Timers that a fold of 3d28661 does not set."""


class FoldQuantity(StrEnum):
    """Quantities that can be compared."""

    TIME = "time"
    INSTRUCTIONS = "instructions"
    RESULTS = "results"
    COMMON = "common-results"


def main(
    other: Annotated[Path, typer.Argument(help="Path of the other checkout.")],
    logs: Annotated[str, typer.Option(help="Names of logs, separated by commas.")] = ",".join(LOGS),
    events: Annotated[int, typer.Option(help="Maximum number of events of a log.")] = 60_000,
    batch: Annotated[int, typer.Option(help="Number of records of a batch.")] = 2_000,
    runs: Annotated[int, typer.Option(help="Number of runs of each checkout.")] = 5,
    compare: Annotated[FoldQuantity, typer.Option(help="CPU time, instructions, or results.")] = FoldQuantity.TIME,
) -> None:
    """Compare the cost or the results of both checkouts."""
    folder, different = ROOT / "build" / "fold_logs", 0
    if compare is FoldQuantity.INSTRUCTIONS and shutil.which("valgrind") is None:
        raise typer.BadParameter("valgrind is not installed; on Debian: apt-get install valgrind")
    for name in logs.split(","):
        log = write_log(name, events, folder)
        if compare in (FoldQuantity.RESULTS, FoldQuantity.COMMON):
            old, new = _dumps(name, log, batch, other, folder)
            if compare is FoldQuantity.COMMON:
                new = common(old, new)
            different += _list(name, old, new)
        elif compare is FoldQuantity.INSTRUCTIONS:
            _count(name, log, batch, other)
        else:
            _measure(name, log, batch, other, runs)
    sys.exit(1 if different else 0)


def _measure(name: str, log: Path, batch: int, other: Path, runs: int) -> None:
    old, new = [], []
    for _ in range(runs):
        old.append(float(_run(other, log, str(batch))))
        new.append(float(_run(ROOT, log, str(batch))))
    before, after = statistics.median(old), statistics.median(new)
    print(
        f"{name:8s} batches of {batch:5d}: other {before:6.1f} ({min(old):.1f}-{max(old):.1f}), "
        f"this {after:6.1f} ({min(new):.1f}-{max(new):.1f}) us of CPU per event, ratio {before / after:.2f}",
        flush=True,
    )


def _count(name: str, log: Path, batch: int, other: Path) -> None:
    before, after = (_instructions(checkout, log, batch) for checkout in (other, ROOT))
    print(
        f"{name:8s} batches of {batch:5d}: other {before / 1000:6.1f}, this {after / 1000:6.1f} thousand instructions "
        f"per record, ratio {before / after:.2f}",
        flush=True,
    )


def _instructions(checkout: Path, log: Path, batch: int) -> float:
    """Return the number of instructions per record of the second half of a log."""
    records = msgspec.msgpack.decode(log.read_bytes(), type=list[tuple[bytes, bytes]])
    counted, sizes = [], (len(records) // 2, len(records))
    with tempfile.TemporaryDirectory(prefix="fold-cost-") as folder:
        for size in sizes:
            part, report = Path(folder) / f"{size}.msgpack", Path(folder) / "report"
            part.write_bytes(msgspec.msgpack.encode(records[:size]))
            _run(checkout, part, str(batch), under=(*VALGRIND, f"--log-file={report}"))
            found = re.search(r"I\s+refs:\s+([\d,]+)", report.read_text())
            if found is None:
                raise RuntimeError(f"valgrind has counted nothing: {report.read_text()[-500:]}")
            counted.append(int(found[1].replace(",", "")))
    return (counted[1] - counted[0]) / (sizes[1] - sizes[0])


def _dumps(name: str, log: Path, batch: int, other: Path, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    dumps: list[dict[str, Any]] = []
    for side, checkout in (("other", other), ("this", ROOT)):
        path = folder / f"{name}-{side}.pickle"
        _run(checkout, log, str(batch), str(path))
        dumps.append(pickle.loads(path.read_bytes()))
        path.unlink()
    return dumps[0], dumps[1]


def _list(name: str, old: dict[str, Any], new: dict[str, Any]) -> int:
    found = list(differences(old, new))
    print(f"{name:8s} {len(old['outputs']):,} outputs, {len(old['users']):,} users: {len(found)} differences")
    for difference in found[:MAX_LISTED]:
        print(f"    {difference}")
    return len(found)


def _run(checkout: Path, *arguments: str | Path, under: Sequence[str] = ()) -> str:
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "PYTHONHASHSEED": "0"}
    command = [*under, sys.executable, "-P", fold_run.__file__, *map(str, arguments)]
    return subprocess.run(command, check=True, env=environment, cwd=checkout, stdout=subprocess.PIPE, text=True).stdout


def common(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the part of the newer dump that the older one can have: without added topics, timers and fields."""
    added = ADDED_TIMERS | {topic.removeprefix("examples.") for topic in ADDED_TOPICS}
    counts = {labels: count for labels, count in new["counts"].items() if not added.intersection(labels)}
    outputs = [one for one in new["outputs"] if one[0] not in ADDED_TOPICS]
    for place, (known, one) in enumerate(zip(old["outputs"], outputs, strict=False)):
        if known != one and known[:2] == one[:2]:
            outputs[place] = (*one[:2], _known_json(known[2], one[2]))
    users = {key: _known_user(old["users"].get(key, {}), fields) for key, fields in new["users"].items()}
    return new | {"counts": counts, "outputs": outputs, "users": users}


def _known_json(one: bytes, another: bytes) -> bytes:
    left, right = msgspec.json.decode(one), msgspec.json.decode(another)
    return msgspec.json.encode({name: value for name, value in right.items() if name in left})


def _known_user(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in new.items() if name in old}
    known["timers"] = [timer for timer in new["timers"] if timer[1] not in ADDED_TIMERS]
    # At each timer, a user forgets the ids that are older than the horizon. So more timers mean fewer old ids.
    if "seen_ids" in old and base64.b64decode(old["seen_ids"][2]).endswith(base64.b64decode(new["seen_ids"][2])):
        known["seen_ids"] = old["seen_ids"]
    # A newer record of consent has more fields at its end.
    known["consent"] = {
        channel: state[: len(old["consent"][channel])] if channel in old.get("consent", {}) else state
        for channel, state in new["consent"].items()
    }
    return known


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Yield a description of each difference of two dumps of :mod:`tests.benchmarks.fold_run`."""
    if old["counts"] != new["counts"]:
        apart = old["counts"].items() ^ new["counts"].items()
        yield f"counts: {sorted(map(str, apart))}"
    if len(old["outputs"]) != len(new["outputs"]):
        yield f"number of outputs: {len(old['outputs'])} and {len(new['outputs'])}"
    for number, (one, another) in enumerate(zip(old["outputs"], new["outputs"], strict=False)):
        if one == another:
            continue
        if one[:2] != another[:2]:
            yield f"output {number}: {one} and {another}; the outputs after it are not compared"
            break
        yield from _apart(f"output {number} of {one[0]}", *(msgspec.json.decode(each[2]) for each in (one, another)))
    if old["users"].keys() != new["users"].keys():
        yield f"users: {old['users'].keys() ^ new['users'].keys()}"
    for key in old["users"].keys() & new["users"].keys():
        yield from _apart(key.decode(), old["users"][key], new["users"][key])


def _apart(path: str, one: Any, another: Any) -> Iterator[str]:
    if isinstance(one, float) and isinstance(another, int | float):
        if abs(one - another) > MAX_DIFFERENCE * max(1.0, abs(one), abs(another)):
            yield f"{path}: {one!r} and {another!r}"
    elif type(one) is not type(another):
        yield f"{path}: {one!r} and {another!r}"
    elif isinstance(one, dict):
        for name in sorted(one.keys() | another.keys()):
            if name in one and name in another:
                yield from _apart(f"{path}.{name}", one[name], another[name])
            else:
                yield f"{path}.{name}: {one.get(name)!r} and {another.get(name)!r}"
    elif isinstance(one, list | tuple):
        if len(one) != len(another):
            yield f"{path}: {one!r} and {another!r}"
        else:
            for number, (left, right) in enumerate(zip(one, another, strict=True)):
                yield from _apart(f"{path}[{number}]", left, right)
    elif one != another:
        yield f"{path}: {one!r} and {another!r}"


if __name__ == "__main__":
    typer.run(main)
