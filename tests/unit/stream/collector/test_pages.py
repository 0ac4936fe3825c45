"""The pages behind the links of messages."""

from __future__ import annotations

from stream.collector import pages


def test_the_page_after_a_click_promises_nothing_that_the_fold_may_refuse() -> None:
    page = pages.confirmed("en", "email")

    assert "If this link is still valid, you will get messages by e-mail" in page
    assert "if it was used before, if you have changed your address, or if you have unsubscribed since" in page
