"""The form of ``delivery.push``: the services that take push messages for apps and for browsers."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from stream.settings.fields import Secret

HttpsUrl = Annotated[str, Meta(pattern=r"^https://[^\s]+$", description="https:// ...")]
PushHost = Annotated[
    str,
    Meta(
        pattern=r"^(\*\.)?([a-z0-9-]+\.)*[a-z0-9-]+$",
        description="a host such as push.example, or *.push.example for each host below it; in lower case",
    ),
]

PUSH_SERVICES = (
    "fcm.googleapis.com",
    "*.push.services.mozilla.com",
    "*.notify.windows.com",
    "*.push.apple.com",
)
"""Hosts of the push services of Chrome and its relatives, Firefox, Edge, and Safari."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class FcmSection(_Section, frozen=True, kw_only=True):
    """The project at Firebase Cloud Messaging, which takes push messages for apps.

    Attributes
    ----------
    service_account
        The JSON file with the key of a service account of the project. It names the project, too.
    base_url
        URL of the API.
    """

    service_account: Secret
    base_url: Annotated[str, Meta(pattern=r"^https?://[^\s]+$", description="http:// or https:// ...")] = (
        "https://fcm.googleapis.com"
    )


class WebPushSection(_Section, frozen=True, kw_only=True):
    """Push messages for browsers.

    Attributes
    ----------
    private_key
        The key with which messages are signed. ``perennial push keys`` makes one.
    contact
        An address at which a push service can reach the people who send.
    hosts
        Hosts of push services. A message to a subscription of any other host is refused.
    """

    private_key: Secret
    contact: Annotated[
        str,
        Meta(pattern=r"^(mailto:[^\s@]+@[^\s@]+|https://[^\s]+)$", description="mailto:NAME@HOST, or https:// ..."),
    ]
    hosts: tuple[PushHost, ...] = PUSH_SERVICES


class PushSection(_Section, frozen=True, kw_only=True):
    """The services that take push messages.

    Attributes
    ----------
    fcm
        For device tokens of apps.
    web
        For subscriptions of browsers.
    link
        Page that a click on a message opens.
    """

    fcm: FcmSection | None = None
    web: WebPushSection | None = None
    link: HttpsUrl | None = None

    def __post_init__(self) -> None:
        """Refuse a section that names no service."""
        if self.fcm is None and self.web is None:
            raise ValueError("Expected fcm, web, or both")
