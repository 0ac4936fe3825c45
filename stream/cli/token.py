"""``perennial token``: tokens with which pages and servers read users over HTTP."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from models.durations import milliseconds
from models.errors import InvalidEvent
from models.units import now_ms
from models.wire import fields
from stream.cli.output import Config, Json, print_json, print_line
from stream.collector.configured import user_tokens
from stream.collector.user_tokens import MAX_LIFE_S
from stream.settings.loading import load

app = typer.Typer(
    help="Make tokens with which pages and servers read users over HTTP.", no_args_is_help=True, add_completion=False
)

SERVER_TOKEN_BYTES = 32
"""Length of a server token before it is encoded, bytes."""


@app.command()
def user(
    user: Annotated[str, typer.Argument(help="Id of the user, the same as in events.")],
    expires: Annotated[str, typer.Option(help="How long it is valid, such as 30m; at most 24h.")] = "1h",
    config: Config = None,
    json: Json = False,
) -> None:
    """Print a user token for tests. A page with this token may read only this user.

    In production your own server signs these tokens. A token is a JWT, signed
    with HS256 and the first secret of http.user_token_secrets. Its claims are sub
    (the user id), aud ("perennial"), iat, and exp (at most 24 hours later).
    """
    try:
        fields.identifier(user, "user")
    except InvalidEvent as error:
        raise typer.BadParameter(str(error)) from None
    life_s = _seconds(expires)
    now = now_ms()
    token = user_tokens(load(config)).sign(user, now, life_s)
    if json:
        print_json({"token": token, "user": user, "expires": now // 1000 + life_s})
    else:
        print_line(token)


@app.command()
def server(
    role: Annotated[str, typer.Option(help="What the token allows: viewer (read users).")] = "viewer",
    json: Json = False,
) -> None:
    """Print a new server token. Its holder may read any user.

    To make it valid, name it in http.server_tokens of perennial.yaml, such as
    [{env: SERVER_TOKEN}], and start the collector again.
    """
    if role != "viewer":
        raise typer.BadParameter(f"found {role!r}; allowed: viewer")
    token = secrets.token_urlsafe(SERVER_TOKEN_BYTES)
    if json:
        print_json({"token": token, "role": role})
    else:
        print_line(token)


def _seconds(expires: str) -> int:
    try:
        life_s = milliseconds(expires) // 1000
    except ValueError as error:
        raise typer.BadParameter(f"--expires: found {expires!r}; allowed: {error}, at most 24h") from None
    if life_s > MAX_LIFE_S:
        raise typer.BadParameter(f"--expires: found {expires}; allowed: at most 24h")
    return life_s
