"""Tests of the definition of growth in a soak."""

from __future__ import annotations

from tests.chaos.soak import SoakSample, findings


def _looks(memory: list[float], waiting: list[int]) -> list[SoakSample]:
    return [
        SoakSample(at=10.0 * number, memory={"fold": mib}, waiting=lag, rate=5_000, p50=20, p99=90)
        for number, (mib, lag) in enumerate(zip(memory, waiting, strict=True))
    ]


def test_memory_that_grows_only_during_the_warm_up_is_flat() -> None:
    samples = _looks([100, 150, 190, *[200] * 9], [9_000, 5_000, 0, *[40] * 9])

    assert findings(samples, 30, 5_000) == []


def test_memory_that_continues_to_grow_is_found() -> None:
    (found,) = findings(_looks([200 + 3 * n for n in range(12)], [40] * 12), 30, 5_000)

    assert found.startswith("fold grew from 212 to 230 MiB")


def test_a_lag_that_continues_to_grow_is_found() -> None:
    (found,) = findings(_looks([200] * 12, [3_000 * n for n in range(12)]), 30, 5_000)

    assert found.startswith("30,000 events wait at the end")


def test_a_soak_that_was_too_short_is_a_finding() -> None:
    (found,) = findings(_looks([200] * 5, [40] * 5), 30, 5_000)

    assert "let it run longer" in found
