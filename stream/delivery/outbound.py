"""The HTTP client for addresses that users or the settings supply: it reaches the public internet alone.

Every connection is made to an address that was checked, and a name is not resolved again in between. So a name whose
address changes between the check and the connection reaches nothing else. Only https is used. Redirects are not
followed, and proxies of the environment are not used. Hosts of ``outbound.allow`` are the only exceptions.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Collection, Mapping

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from models.delivery.deliveries import Result
from stream.delivery.posting import HttpAnswer, post
from stream.delivery.public_address import is_ip, is_number, is_public

TIMEOUT_S = 15.0
"""How long one request may take, from the resolution of the name to the end of the answer, seconds."""
MAX_CONNECTIONS_PER_HOST = 32
"""Maximum number of connections to one host."""


class Outbound:
    """A client that sends requests to public addresses, and to the hosts that the settings allow.

    Parameters
    ----------
    allowed
        Exceptions. ``crm.internal:443`` may have a private address, and is called over https.
        ``http://127.0.0.1:8080`` may have one, too, and is also called without TLS.
    resolver
        Asks the DNS; by default, the system's.
    tls
        Certificate authorities to trust, instead of those of the system.

    Examples
    --------
    >>> outbound = Outbound(["crm.internal:443"])
    >>> outbound.refuses("https://hooks.shop.example/perennial"), outbound.refuses("https://crm.internal/x")
    ('', '')
    >>> outbound.refuses("https://169.254.169.254/latest")
    '169.254.169.254 is no public address, and 169.254.169.254:443 is not in outbound.allow'
    """

    def __init__(
        self,
        allowed: Collection[str] = (),
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._private = frozenset(one.removeprefix("http://").lower() for one in allowed)
        self._plain = frozenset(one.removeprefix("http://").lower() for one in allowed if one.startswith("http://"))
        self._resolver = resolver
        self._tls = tls
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    def __repr__(self) -> str:
        return f"<Outbound, {len(self._private)} allowed hosts>"

    def refuses(self, url: str) -> str:
        """Return the reason why a URL is never called; an empty text if it may be called.

        A name is not resolved here. A name that leads to a private address is refused when it is resolved.
        """
        try:
            parsed = URL(url)
            host, port = parsed.host or "", parsed.port
        except ValueError:
            return "the URL cannot be read"
        if parsed.scheme not in ("https", "http") or not host or not port:
            return "the URL must begin with https:// and name a host"
        if parsed.user is not None or parsed.password is not None:
            return "the URL must not have a user name or a password"
        place = _place(host, port)
        if parsed.scheme == "http" and place not in self._plain:
            return f"the URL must begin with https://, because http://{place} is not in outbound.allow"
        if "%" in host or (is_number(host) and not is_ip(host)):
            return f"{host} is neither a name nor an IP address in its usual form"
        if is_ip(host) and not is_public(host) and place not in self._private:
            return f"{host} is no public address, and {place} is not in outbound.allow"
        return ""

    async def post(
        self, url: str, content: bytes, headers: Mapping[str, str], timeout_s: float = TIMEOUT_S
    ) -> HttpAnswer | Result:
        """Send a request once.

        Returns
        -------
        HttpAnswer or Result
            ``rejected`` if the URL itself is refused. ``failed`` if there was no connection, also because the name
            leads to no public address; nothing was sent. ``unknown`` if the request may have arrived.
        """
        refused = self.refuses(url)
        if refused:
            return Result("rejected", refused, called=False)
        parsed = URL(url)
        session = self._open(guarded=_place(parsed.host or "", parsed.port) not in self._private)
        # A compressed answer could be much longer than its bytes, so none is asked for, and none is decompressed.
        return await post(session, url, content, {"Accept-Encoding": "identity", **headers}, timeout_s)

    async def close(self) -> None:
        """Close all connections."""
        while self._sessions:
            await self._sessions.popitem()[1].close()

    def _open(self, *, guarded: bool) -> aiohttp.ClientSession:
        if guarded not in self._sessions:
            resolver = self._resolver or ThreadedResolver()
            connector = aiohttp.TCPConnector(
                resolver=PublicResolver(resolver) if guarded else resolver,
                socket_factory=_public_socket if guarded else None,
                use_dns_cache=False,
                ssl=self._tls or True,
                limit_per_host=MAX_CONNECTIONS_PER_HOST,
            )
            self._sessions[guarded] = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
            )
        return self._sessions[guarded]


class PublicResolver(AbstractResolver):
    """A resolver that returns public addresses alone.

    Parameters
    ----------
    inner
        The resolver that asks the DNS; by default, the system's.
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


def _place(host: str, port: int | None) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _public_socket(found: aiohttp.AddrInfoType) -> socket.socket:
    """Open a socket for an address. Every connection comes through here, so nothing bypasses this last check."""
    family, kind, protocol, _, address = found
    if not is_public(str(address[0])):
        raise OSError(errno.EACCES, f"{address[0]} is no public address")
    return socket.socket(family, kind, protocol)
