"""Addresses of the public internet, in contrast to those of private networks and of this machine."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")
"""An IPv4 address inside an IPv6 address, as a network without IPv4 writes it (RFC 6052)."""
_UNICAST = IPv6Network("2000::/3")
"""The only part of IPv6 that is given to the public internet."""

# Python's own tables differ between its releases, so these are named here.
_NOT_PUBLIC_4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "100.64.0.0/10")))
_NOT_PUBLIC_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public internet, also if it is written inside an IPv6 address.

    Examples
    --------
    >>> [is_public(one) for one in ("8.8.8.8", "10.0.0.1", "169.254.169.254", "127.0.0.1", "224.0.0.1")]
    [True, False, False, False, False]
    >>> [is_public(one) for one in ("2606:4700::1", "::1", "fd00::1", "fe80::1%eth0", "::ffff:8.8.8.8", "ff02::1")]
    [True, False, False, False, False, False]
    >>> is_public("64:ff9b::10.0.0.1"), is_public("64:ff9b::8.8.8.8"), is_public("nonsense")
    (False, True, False)
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return _is_public_4(parsed)
    if parsed.scope_id is not None:
        return False
    if parsed in _NAT64:
        return _is_public_4(IPv4Address(int(parsed) & 0xFFFFFFFF))
    return parsed in _UNICAST and parsed.is_global and not any(parsed in network for network in _NOT_PUBLIC_6)


def is_ip(host: str) -> bool:
    """Return whether a host is an IP address in its usual form, without brackets.

    Examples
    --------
    >>> is_ip("127.0.0.1"), is_ip("::1"), is_ip("127.1"), is_ip("shop.example")
    (True, True, False, False)
    """
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_number(host: str) -> bool:
    """Return whether a host's last part is a number, so that some programs read an IPv4 address in it.

    Such a host is no name, because no top-level domain is a number (https://url.spec.whatwg.org/#ends-in-a-number-checker).

    Examples
    --------
    >>> [is_number(host) for host in ("2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "1.example", "ab.cd")]
    [True, True, True, True, False, False]
    """
    last = host.rstrip(".").rpartition(".")[2].lower()
    if last.startswith("0x"):
        return all(letter in "0123456789abcdef" for letter in last[2:])
    return last.isdigit()


def _is_public_4(address: IPv4Address) -> bool:
    special = address.is_multicast or address.is_reserved or any(address in network for network in _NOT_PUBLIC_4)
    return address.is_global and not special
