"""The section ``http`` of ``perennial.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.events import PURPOSE_PATTERN
from stream.settings.fields import Port, Secret

HttpOrigin = Annotated[
    str,
    Meta(
        pattern=r"^(\*|https?://[A-Za-z0-9.\-\[\]:]+)$",
        description="* for any, or the scheme, host and port of a page, such as https://shop.example",
    ),
]

PurposeName = Annotated[str, Meta(pattern=PURPOSE_PATTERN, description="the name of a purpose")]
LanguageCode = Annotated[
    str, Meta(pattern="^[a-z]{2,3}$", description="a language in two or three letters, such as en")
]
PlainName = Annotated[str, Meta(min_length=1, max_length=100, description="a name of 1 to 100 characters")]
HostPort = Annotated[str, Meta(pattern=r"^[^\s,/]+:[0-9]{1,5}$", description="host:port")]


class WriteKeySection(Secret, frozen=True, kw_only=True):
    """A key that events are sent with.

    Attributes
    ----------
    value
        A browser key itself; it is not a secret, because every page contains it.
    kind
        ``server``: only the shop's servers know the key. ``browser``: everyone can read it, so its events
        cannot grant consent.
    """

    value: Annotated[str, Meta(min_length=1)] | None = None
    kind: Literal["server", "browser"] = "server"

    def __post_init__(self) -> None:
        """Refuse several places or none, and a server key that is written into the file."""
        if [self.env, self.file, self.value].count(None) != 2:
            raise ValueError("Expected {env: NAME}, {file: PATH}, or {value: KEY, kind: browser}")
        if self.value is not None and self.kind == "server":
            raise ValueError("Expected {env: NAME} or {file: PATH} for a server key, which is a secret")


class ServerTokenSection(Secret, frozen=True, kw_only=True):
    """A token with which a server reads users over HTTP.

    Attributes
    ----------
    role
        Permissions of its holder. A viewer reads.
    """

    role: Literal["viewer"] = "viewer"


class HttpSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP door (``perennial collector``).

    Attributes
    ----------
    host, port
        Address to listen on.
    public_url
        Public URL of the door, with which unsubscribe links begin. By default made of host and port.
    write_keys
        Write keys. Every event must come with one of them. By default none is required.
    trust_browser_orders
        Whether purchases and refunds with a browser key trigger transactional messages, like those from the shop's
        server.
    allowed_origins
        Pages that may call the door from a browser, such as ``https://shop.example``. By default any page.
    user_token_secrets
        Secrets of user tokens, at least 32 bytes each. The shop's server signs with the first one, and all are valid.
        By default one is made in the data folder.
    server_tokens
        Tokens of servers. Each token may read any user, and has at least 16 bytes.
    workers
        ``host:port`` of each fold that answers for its users (``worker.port``). By default the folds of this machine.
    purpose_names
        Names of the purposes on the page behind an unsubscribe link, by language: ``{tips: {en: Tips, de: Tipps}}``.
        By default a purpose has the name that ``consent.purposes`` gives it.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    public_url: Annotated[str, Meta(pattern="^https?://[^ ]+$", description="http:// or https:// ...")] | None = None
    write_keys: list[WriteKeySection] = []
    trust_browser_orders: bool = False
    allowed_origins: tuple[HttpOrigin, ...] = ("*",)
    user_token_secrets: list[Secret] = []
    server_tokens: list[ServerTokenSection] = []
    workers: list[HostPort] = []
    purpose_names: dict[PurposeName, dict[LanguageCode, PlainName]] = {}
