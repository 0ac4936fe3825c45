from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.condition_runs import compare, random_case


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 45))
def test_membership_at_every_instant_is_that_of_a_naive_evaluation_in_batches_of_any_size(
    seed: int, segments: int, arrivals: int
) -> None:
    assert compare(random_case(seed, segments, arrivals)) == ""
