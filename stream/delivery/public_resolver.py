"""Name resolution for URLs that users supply: no name leads to an address inside a private network."""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

_NAT64 = IPv6Network("64:ff9b::/96")


class PublicResolver(AbstractResolver):
    """A resolver that returns public addresses alone.

    The connection is made to a returned address, and the name is not resolved again. So a name whose address changes
    between the check and the connection reaches nothing else.

    Parameters
    ----------
    inner
        The resolver that asks the DNS; by default, that of the system.
    """

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the public addresses of a host.

        Raises
        ------
        OSError
            It has none.
        """
        found = await self._inner.resolve(host, port, family)
        public = [one for one in found if is_public(one["host"])]
        if not public:
            raise OSError(errno.EACCES, f"{host} has no public address")
        return public

    async def close(self) -> None:
        """Close the inner resolver."""
        await self._inner.close()


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public internet, also if it is written inside an IPv6 address.

    Examples
    --------
    >>> [is_public(one) for one in ("8.8.8.8", "10.0.0.1", "169.254.169.254", "127.0.0.1", "224.0.0.1")]
    [True, False, False, False, False]
    >>> [is_public(one) for one in ("2606:4700::1", "::1", "fd00::1", "fe80::1%eth0", "::ffff:10.0.0.1")]
    [True, False, False, False, False]
    >>> is_public("64:ff9b::10.0.0.1"), is_public("64:ff9b::8.8.8.8"), is_public("nonsense")
    (False, True, False)
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        inner = _inside(parsed)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
        if parsed.sixtofour is not None or parsed.teredo is not None:
            return False
    return parsed.is_global and not parsed.is_multicast


def _inside(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for; ``None`` if it stands for none."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped
