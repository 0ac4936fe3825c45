"""``perennial recommend``: items for a user, from the worker that owns the user."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.recommend.new_items import NEW
from stream.cli.output import Config, Json, print_json, print_line
from stream.lookup.client import ask_json
from stream.lookup.identity import identity_of
from stream.settings.loading import load
from stream.settings.worker_addresses import worker_urls


def recommend(
    user: Annotated[str, typer.Argument(help="User id.")],
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="Number of items.")] = 10,
    config: Config = None,
    json: Json = False,
) -> None:
    """Recommend items to a user. The newest clicks count immediately; an unknown user gets popular items.

    About one item in ten is a new one, which the recommender has not learned yet.
    """
    path = f"/v1/users/{quote(user, safe='')}/recommendations?k={k}"
    settings = load(config)
    answer = asyncio.run(ask_json(worker_urls(settings.sections.worker), path, identity_of(settings.connection())))
    if json:
        print_json(answer)
        return
    if not answer["items"]:
        print_line(_nothing(user, answer))
        return
    if not answer["known"]:
        has_new = any(each["why"] == NEW for each in answer["items"])
        print_line(f"{user!r} is unknown; these items are {'popular or new' if has_new else 'popular'}")

    table = Table(box=None, pad_edge=False)
    table.add_column("item")
    table.add_column("score", justify="right")
    table.add_column("why")
    titled = any("title" in each for each in answer["items"])  # only imported items have a title
    if titled:
        table.add_column("title")
    for each in answer["items"]:
        # values from the log are text, not markup
        title = (Text(each.get("title", "")),) if titled else ()
        table.add_row(Text(each["item"]), f"{each['score']:.3f}", Text(each["why"]), *title)
    Console().print(table)


def _nothing(user: str, answer: Mapping[str, Any]) -> str:
    """Explain why nothing is recommended."""
    if answer.get("refused"):
        return (
            f"the worker could not load version {answer['refused']} of the recommender, and there is no other version; "
            "the worker's log says why"
        )
    if not answer["version"]:
        # no numbers, because only the retrainer knows how many interactions there are
        return (
            "no recommender is in use yet; the retrainer trains one after enough interactions with items "
            "(it runs within perennial up, or as perennial retrainer)"
        )
    return {
        "nothing_for_sale": "nothing is for sale: the catalogue is empty, or all its items are out of stock",
        "all_touched": f"{user} has interacted with every item that is for sale",
        "all_known_touched": f"{user} has interacted with every item that the recommender knows",
    }.get(answer.get("empty", ""), "there is nothing to recommend")
