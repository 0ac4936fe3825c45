"""``perennial recommend``: items for a user, as the worker that owns the user recommends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from stream.cli.output import Config, Json, print_json, print_line


def recommend(
    user: Annotated[str, typer.Argument(help="User id.")],
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many.")] = 10,
    config: Config = None,
    json: Json = False,
) -> None:
    """Recommend items to a user; the newest clicks count at once, a stranger gets what is popular.

    About one item in ten is new: the recommender does not know it yet.
    """
    import asyncio
    from urllib.parse import quote

    from models.recommend.new_items import NEW
    from stream.lookup.client import ask_json
    from stream.lookup.identity import identity_of
    from stream.settings.loading import load
    from stream.settings.worker_addresses import worker_urls

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
        print_line(f"nothing is known of {user!r}; this is what is {'popular or new' if has_new else 'popular'}")
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("item")
    table.add_column("score", justify="right")
    table.add_column("why")
    titled = any("title" in each for each in answer["items"])  # only what was imported has one
    if titled:
        table.add_column("title")
    for each in answer["items"]:
        # what the log holds is text, not markup
        title = (Text(each.get("title", "")),) if titled else ()
        table.add_row(Text(each["item"]), f"{each['score']:.3f}", Text(each["why"]), *title)
    Console().print(table)


def _nothing(user: str, answer: Mapping[str, Any]) -> str:
    """Say why nothing is recommended."""
    if answer.get("refused"):
        return (
            f"version {answer['refused']} of the recommender could not be loaded by the worker, and there is no other; "
            "its log says why"
        )
    if not answer["version"]:
        # what counts as enough stands in the settings; which interactions there are only the retrainer knows
        return (
            "no recommender is in use yet; the retrainer trains one once enough items were touched "
            "(it runs within perennial up, else: perennial retrainer)"
        )
    return {
        "nothing_for_sale": "nothing is for sale: all that the catalogue lists is out of stock, or it lists nothing",
        "all_touched": f"{user} has touched all that is for sale",
        "all_known_touched": f"{user} has touched every item that the recommender knows",
    }.get(answer.get("empty", ""), "there is nothing to recommend")
