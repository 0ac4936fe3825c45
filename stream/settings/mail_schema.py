"""The form of ``delivery.smtp``: the server that takes e-mail, and the signature of e-mails."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stream.settings.fields import Duration, Port, Secret


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class DkimSection(_Section, frozen=True, kw_only=True):
    """The signature of e-mails (DKIM), with which receivers tell that an e-mail comes from its domain.

    Attributes
    ----------
    domain
        The domain that signs: that of the From address, or a domain above or below it.
    selector
        Name of the key in the DNS: the public key is the TXT record ``SELECTOR._domainkey.DOMAIN``.
    private_key
        The private key in PEM: RSA of at least 1024 bits.
    """

    domain: Annotated[str, Meta(pattern=r"^([A-Za-z0-9-]+\.)+[A-Za-z0-9-]+$", description="a domain, shop.example")]
    selector: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$", description="a name, such as s1")
    ]
    private_key: Secret


class SmtpSection(_Section, frozen=True, kw_only=True, rename={"sender": "from"}):
    """The server that takes e-mail.

    Attributes
    ----------
    host, port
        Address of the server.
    sender
        Address in the From header, ``Shop <hello@shop.example>``.
    reply_to
        Address for answers.
    username, password
        Credentials, if the server asks for them.
    tls
        ``starttls``, ``tls`` from the first byte, or ``none``.
    connections
        Maximum number of connections at the same time. When a worker is killed, the outcome of at most
        this number of messages is unknown.
    timeout
        How long each step of the conversation may take.
    dkim
        The signature of e-mails. By default they are not signed here.
    relay_signs
        Whether the server itself signs the e-mails that it takes.
    """

    host: Annotated[str, Meta(min_length=1)]
    port: Port = 587
    sender: Annotated[str, Meta(min_length=3)]
    reply_to: str | None = None
    username: str | None = None
    password: Secret | None = None
    tls: Literal["starttls", "tls", "none"] = "starttls"
    connections: Annotated[int, Meta(ge=1, le=200, description="a whole number, 1 to 200")] = 16
    timeout: Duration = "30s"
    dkim: DkimSection | None = None
    relay_signs: bool = False
