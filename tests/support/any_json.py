"""Strategies of hypothesis for JSON from outside."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.wire_records import NOW, WHEN

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
"""Any JSON value, also with lone surrogates."""
LIKELY = st.sampled_from(
    [
        *(
            "u1",
            "click",
            "track",
            "Order Completed",
            "Product Viewed",
            "Consent Given",
            "purchase",
            "consent",
            "identify",
        ),
        *("rating", "custom", "email", "EUR", WHEN, NOW, 5, 2.55, "2.55", True, [], {}),
        [{"item": "a", "product_id": "a", "price": 1}],
    ]
)
"""Values that occur in real records."""
