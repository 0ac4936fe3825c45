"""``perennial recommend``: items for a user, as the worker that owns the user recommends them."""

from __future__ import annotations

from typing import Annotated

import typer

from stream.cli.output import Config, Json, print_json, print_line


def recommend(
    user: Annotated[str, typer.Argument(help="User id.")],
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many.")] = 10,
    config: Config = None,
    json: Json = False,
) -> None:
    """Recommend items to a user; the newest clicks count at once, a stranger gets what is popular."""
    import asyncio
    from urllib.parse import quote

    from stream.lookup.client import ask_json
    from stream.lookup.workers import addresses
    from stream.settings import load

    path = f"/v1/users/{quote(user, safe='')}/recommendations?k={k}"
    answer = asyncio.run(ask_json(addresses(load(config)), path))
    if json:
        print_json(answer)
        return
    if not answer["version"]:
        # what counts as enough stands in the settings; which interactions there are only the retrainer knows
        print_line(
            "no recommender has been trained yet; the retrainer trains one once enough items were touched "
            "(it runs within perennial up, else: perennial retrainer)"
        )
        return
    if not answer["items"]:
        untouched = f"for sale that {user} has not touched already"
        print_line(f"nothing is {untouched}" if answer["known"] else "nothing that the recommender knows is for sale")
        return
    if not answer["known"]:
        print_line(f"nothing is known of {user!r}; this is what is popular")
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
