from __future__ import annotations

import pytest

from models.errors import InvalidEvent
from models.learning.examples import (
    ChurnExample,
    SegmentExample,
    decode_churn,
    decode_segment,
    encode_example,
    fingerprint,
)


def test_examples_are_encoded_and_decoded_exactly() -> None:
    churn = ChurnExample(
        user="u", at=1, due=2, schema="s", row=[0.1, 1 / 3, 2.5e-17], risk=0.1 + 0.2, version=3, churned=True
    )
    segment = SegmentExample(user="u", at=1, schema="s", row=[0.1, 1 / 3])
    assert decode_churn(encode_example(churn)) == churn
    assert decode_segment(encode_example(segment)) == segment


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"user":"u"}',
        b'{"user":"\xff","at":1,"due":2,"schema":"s","row":[1.0],"churned":true}',
        b'{"user":"u","at":1,"due":2,"schema":"s","row":["1"],"churned":true}',
        b'{"user":"u","at":1,"due":2,"schema":"s","row":[1e999],"churned":true}',
        b'{"user":"u","at":1,"due":2,"schema":"s","row":[-2e6],"churned":true}',
        b'{"user":"u","at":1,"due":2,"schema":"s","row":[1.0],"risk":1.5,"version":1,"churned":true}',
        b'{"user":"u","at":1,"due":2,"schema":"s","row":[1.0],"risk":0.5,"churned":true}',
        b'{"user":"u","at":1,"due":2,"schema":"s","row":[1.0],"version":4,"churned":true}',
        b'{"user":"u","at":1,"due":2,"schema":"s","row":[1.0],"churned":"yes"}',
    ],
)
def test_a_record_that_is_not_a_churn_example_is_rejected_with_its_reason(value: bytes | None) -> None:
    with pytest.raises(InvalidEvent) as error:
        decode_churn(value)
    assert error.value.reason == "bad_example"


@pytest.mark.parametrize(
    "value", [None, b"nonsense", b'{"user":"u","at":1,"schema":"s","row":[1e999]}', b'{"user":"u","at":1,"row":[1.0]}']
)
def test_a_record_that_is_not_a_segment_example_is_rejected_with_its_reason(value: bytes | None) -> None:
    with pytest.raises(InvalidEvent) as error:
        decode_segment(value)
    assert error.value.reason == "bad_example"


def test_other_names_or_another_sequence_of_names_give_another_fingerprint() -> None:
    names = [("a", "b"), ("b", "a"), ("a",), ("ab",), ()]
    assert len({fingerprint(each) for each in names}) == len(names)
