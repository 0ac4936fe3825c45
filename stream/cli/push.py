"""``perennial push``: the key with which messages to browsers are signed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from stream.cli.output import Config, Json, print_json, print_line
from stream.delivery.push_secrets import vapid_key
from stream.delivery.vapid import VapidKey, make_vapid_key
from stream.settings.loading import load

app = typer.Typer(
    help="Make and show the key with which messages to browsers are signed (VAPID).",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def keys(
    file: Annotated[Path, typer.Argument(help="New file for the private key, such as vapid.key.")],
    json: Json = False,
) -> None:
    """Make a key pair. The private key goes into FILE, and the public key is printed.

    Name the file in perennial.yaml:

        delivery:
          push:
            web:
              private_key: {file: vapid.key}
              contact: mailto:push@shop.example

    Pages subscribe with the public key (applicationServerKey). Keep the private
    key: subscriptions end with it, because they accept no other key.
    """
    key = make_vapid_key()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        says = f"{file} exists; allowed: a new file, because subscriptions end with their key"
        raise typer.BadParameter(says) from None
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be written: {error}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as opened:
        opened.write(key.private_text + "\n")
    _show(key, json=json, file=str(file))


@app.command("public-key")
def public_key(config: Config = None, json: Json = False) -> None:
    """Print the public key, with which pages subscribe (applicationServerKey)."""
    key = vapid_key(load(config))
    if key is None:
        raise typer.BadParameter("delivery.push.web is not set; `perennial push keys --help` shows how to set it")
    _show(key, json=json)


def _show(key: VapidKey, *, json: bool, **more: str) -> None:
    if json:
        print_json({"public_key": key.public_text, **more})
    else:
        print_line(key.public_text)
