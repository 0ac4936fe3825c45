"""Endpoints of webhooks with their keys, which are read from the places that the settings name."""

from __future__ import annotations

from models.delivery.standard_webhooks import PREFIX, read_key
from stream.delivery.outbound import Outbound
from stream.delivery.webhook import WebhookEndpoint
from stream.settings.loading import Settings
from stream.settings.sources import InvalidSettings


def webhook_endpoints(settings: Settings) -> dict[str, WebhookEndpoint]:
    """Read the keys of all endpoints.

    Raises
    ------
    InvalidSettings
        A secret is not at its place or is none, or a URL is never called.
    """
    outbound = Outbound(settings.sections.outbound.allow)
    endpoints = {}
    for name, section in settings.sections.delivery.webhooks.items():
        path = f"delivery.webhooks.{name}"
        refused = outbound.refuses(section.url)
        if refused:
            place = f"{path}.url"
            raise InvalidSettings(settings.given.origin(place), place, section.url, f"another URL, because {refused}")
        keys = []
        for i, secret in enumerate(section.secrets):
            place = f"{path}.secrets[{i}]"
            try:
                keys.append(read_key(settings.reveal(secret, place)))
            except InvalidSettings:
                raise
            except ValueError as error:
                allowed = f"{PREFIX} and 24 to 64 bytes in base64, but {error}"
                raise InvalidSettings(settings.given.origin(place), place, "another text", allowed) from None
        endpoints[name] = WebhookEndpoint(section.url, tuple(keys))
    return endpoints
