"""The events that are interactions, and their weights."""

from __future__ import annotations

from typing import get_args

import pytest

from models.events import Event, EventType, OrderLine
from models.recommend.interactions import (
    Interaction,
    decode_interaction,
    encode_interaction,
    interactions_of,
    weight_of,
)


def test_a_purchase_is_one_interaction_for_each_item_with_its_price() -> None:
    lines = (OrderLine(item="mug", price=5, category="home"), OrderLine(item="pot", quantity=0))
    found = interactions_of(Event(id="m", user="u", type="purchase", at=7, lines=lines, origin="test"))

    assert found == (
        Interaction(user="u", item="mug", weight=5.0, at=7, type="purchase", origin="test", category="home", price=5),
    )


@pytest.mark.parametrize("kind", [kind for kind in get_args(EventType) if weight_of(kind, 5.0) == 0])
def test_events_that_do_not_show_a_liking_are_not_interactions(kind: EventType) -> None:
    assert interactions_of(Event(id="m", user="u", type=kind, at=7, item="mug", rating=5.0)) == ()


def test_a_good_rating_is_weighted_by_its_stars_and_a_bad_one_is_not_an_interaction() -> None:
    ratings = [Event(id="m", user="u", type="rating", at=7, item="mug", rating=stars) for stars in (1, 2, 4)]

    assert [[each.weight for each in interactions_of(event)] for event in ratings] == [[], [], [2.0]]


def test_an_interaction_is_encoded_and_decoded_exactly() -> None:
    interaction = Interaction(user="ü", item="mug", weight=0.5, at=7, type="click", price=1)

    assert decode_interaction(encode_interaction(interaction)) == interaction
