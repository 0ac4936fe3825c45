"""The form of ``delivery.webhooks``: endpoints that take messages as webhooks."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from stream.settings.fields import Secret

EndpointName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="a name such as crm, in lower case")]


class WebhookSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An endpoint that takes messages as webhooks.

    Attributes
    ----------
    url
        URL of the endpoint.
    secrets
        Secrets that sign each request, ``whsec_`` with 24 to 64 bytes in base64. There are two while one replaces the
        other.
    """

    url: Annotated[str, Meta(pattern=r"^https?://[^\s]+$", description="https:// ...")]
    secrets: Annotated[tuple[Secret, ...], Meta(min_length=1, max_length=2, description="one or two secrets")]
