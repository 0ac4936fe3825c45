"""The addresses at which the HTTP door takes events: the long names, and the names that the SDKs use."""

from __future__ import annotations

from collections.abc import Iterator

from models.wire import CALLS

BATCH = "/v1/batch"
METRICS = "/v1/m"
"""Address of analytics-next's reports about its own performance. They are accepted and dropped."""

_OTHER_BATCHES = ("/v1/b", "/v1/import", "/beacon/v1/batch")


def single() -> Iterator[tuple[str, str]]:
    """Yield each address of a single event, with the call of the Segment spec that it stands for.

    analytics-next shortens a call to its first letter: ``/v1/t`` is ``/v1/track``.
    """
    for call in CALLS:
        for name in (call, call[0]):
            yield f"/v1/{name}", call


def batches() -> Iterator[str]:
    """Yield each address of a batch."""
    yield BATCH
    yield from _OTHER_BATCHES


def spellings(path: str) -> tuple[str, str]:
    """Return an address without and with a slash at its end. Both are served."""
    return path, f"{path}/"


def _labels() -> dict[str, str]:
    long = {path: f"/v1/{call}" for path, call in single()} | dict.fromkeys(batches(), BATCH) | {METRICS: METRICS}
    return {spelling: label for path, label in long.items() for spelling in spellings(path)}


LABELS: dict[str, str] = _labels()
"""Label in metrics of each address of events: its long name, for all spellings of the address."""
