"""The form of ``outbound``: exceptions for addresses that users or the settings supply."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

AllowedHost = Annotated[
    str,
    Meta(
        pattern=r"^(http://)?([^\s/:@\[\]]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$",
        description="host:port, or http://host:port for a host that is called without TLS",
    ),
]


class OutboundSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Exceptions for addresses that users or the settings supply. By default, only public ones are called, over https.

    Attributes
    ----------
    allow
        Hosts that may have a private address, such as ``crm.internal:443``. A host with ``http://`` before it is also
        called without TLS.
    """

    allow: tuple[AllowedHost, ...] = ()
