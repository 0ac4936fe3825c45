"""The token bucket: no interval has more calls than the rate and the burst allow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.delivery.token_bucket import CallRate, TokenBucket

steps = st.lists(st.tuples(st.integers(0, 3_000), st.sampled_from([0.25, 0.5, 1.0])), max_size=60)


@given(steps, st.sampled_from([0.5, 3.0, 40.0, 700.0]), st.integers(1, 50))
def test_no_interval_has_more_calls_than_burst_and_rate(
    passed: list[tuple[int, float]], per_second: float, burst: int
) -> None:
    bucket, now, begun = TokenBucket(CallRate(per_second, burst), 0), 0, list[tuple[int, int]]()

    for wait, share in passed:
        now += wait
        bucket.share(share, now)
        taken = bucket.available(now)
        bucket.take(taken)
        begun.append((now, taken))

    for first, (since, _) in enumerate(begun):
        for last in range(first, len(begun)):
            seconds = (begun[last][0] - since) / 1_000
            assert sum(taken for _, taken in begun[first : last + 1]) <= burst + seconds * per_second + 1e-6


@given(steps)
def test_processes_that_share_a_rate_together_stay_within_it(passed: list[tuple[int, float]]) -> None:
    first, second = (TokenBucket(CallRate(per_second=20, burst=10), 0) for _ in range(2))
    first.share(0.5, 0)
    second.share(0.5, 0)
    now = begun = 0

    for wait, share in passed:
        now += wait
        first.share(share if share < 1 else 0.75, now)
        second.share(1 - (share if share < 1 else 0.75), now)
        for bucket in (first, second):
            taken = bucket.available(now)
            bucket.take(taken)
            begun += taken

    assert begun <= now / 1_000 * 20 + 1e-6  # a bucket is empty at first


@given(st.sampled_from([0.3, 1.0, 7.0, 900.0]))
def test_the_stated_time_is_the_earliest_one(per_second: float) -> None:
    bucket, now = TokenBucket(CallRate(per_second), 0), 0

    for _ in range(20):
        due = bucket.next_at(now)
        assert due is not None
        assert bucket.available(due - 1) == 0
        assert bucket.available(due) == 1
        bucket.take(1)
        now = due


def test_a_clock_that_is_set_back_gives_no_calls() -> None:
    bucket = TokenBucket(CallRate(per_second=1), 10_000)

    assert bucket.available(0) == 0
    assert bucket.available(999) == 0
    assert bucket.available(1_000) == 1
