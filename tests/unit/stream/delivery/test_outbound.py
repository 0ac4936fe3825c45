"""The client for addresses that others supply: what it calls, and what it never reaches."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from models.delivery.deliveries import Result
from stream.delivery.outbound import Outbound
from stream.delivery.posting import MAX_ANSWER_BYTES, HttpAnswer
from tests.support.certificates import contexts

PUBLIC = "93.184.215.14"


@dataclass
class ScriptedResolver(AbstractResolver):
    """A resolver with one list of addresses for each question; the last list stays."""

    answers: list[list[str]]
    asked: list[str] = field(default_factory=list)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the next addresses."""
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=port,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for one in addresses
        ]

    async def close(self) -> None:
        """Close nothing."""


@dataclass
class Listener:
    """A server that records its requests, and answers as the test says."""

    port: int = 0
    hosts: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    content: bytes = b"ok"
    hangs: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        """Record a request."""
        self.hosts.append(request.headers["Host"])
        if self.hangs:
            await self.ended.wait()
        return web.Response(status=self.status, body=self.content, headers=self.headers)


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[tuple[Listener, Any]]:
    """A server with TLS on loopback whose certificate is for hooks.example, and a context that trusts it."""
    listener = Listener()
    server_tls, client_tls = contexts(tmp_path, "hooks.example")
    server_tls.sni_callback = lambda _, name, __: listener.names.append(name)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", listener.answer)
    server = TestServer(application)
    await server.start_server(ssl=server_tls)
    listener.port = server.port or 0
    yield listener, client_tls
    listener.ended.set()
    await server.close()


async def asked(outbound: Outbound, url: str, timeout_s: float = 5.0) -> HttpAnswer | Result:
    """Post once and close."""
    try:
        return await outbound.post(url, b"{}", {}, timeout_s)
    finally:
        await outbound.close()


TRICKY = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "127%2e0%2e0%2e1",
    "127。0。0。1",
    "①②⑦.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.8",
    "192.88.99.1",
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:8.8.8.8]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[2001:db8::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fec0::1]",
    "[ff02::1]",
    "[5f00::1]",
]


@pytest.mark.parametrize("host", TRICKY)
async def test_no_spelling_of_an_address_that_is_not_public_is_called(
    host: str, listener: tuple[Listener, Any]
) -> None:
    server, tls = listener

    answer = await asked(Outbound(tls=tls), f"https://{host}:{server.port}/")

    assert isinstance(answer, Result)
    assert (answer.status, answer.called) == ("rejected", False)
    assert server.hosts == []
    assert server.names == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "fe80::1"])
async def test_a_name_that_leads_to_an_address_that_is_not_public_is_not_called(
    address: str, listener: tuple[Listener, Any]
) -> None:
    server, tls = listener

    answer = await asked(
        Outbound(resolver=ScriptedResolver([[address]]), tls=tls), f"https://hooks.example:{server.port}"
    )

    assert isinstance(answer, Result)
    assert (answer.status, answer.trouble) == ("failed", True)
    assert "hooks.example has no public address" in answer.detail
    assert server.names == []


@pytest.fixture
async def connected(listener: tuple[Listener, Any], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses to which connections are made; each of them leads to the server, as if that were public."""
    loop = asyncio.get_running_loop()
    connect, made = loop.sock_connect, list[str]()

    async def to_server(sock: socket.socket, address: Any) -> None:
        made.append(address[0])
        await connect(sock, ("127.0.0.1", listener[0].port))

    monkeypatch.setattr(loop, "sock_connect", to_server)
    return made


async def test_the_connection_goes_to_the_checked_address_with_the_name_of_the_host(
    listener: tuple[Listener, Any], connected: list[str]
) -> None:
    server, tls = listener
    resolver = ScriptedResolver([["127.0.0.1", PUBLIC]])

    answer = await asked(Outbound(resolver=resolver, tls=tls), "https://hooks.example/path")

    assert isinstance(answer, HttpAnswer)
    assert (answer.status, answer.content) == (200, b"ok")
    assert connected == [PUBLIC]
    assert (server.names, server.hosts) == (["hooks.example"], ["hooks.example"])


async def test_a_name_that_changes_its_address_after_the_check_gains_nothing(
    listener: tuple[Listener, Any], connected: list[str]
) -> None:
    resolver = ScriptedResolver([[PUBLIC], ["127.0.0.1"]])
    outbound = Outbound(resolver=resolver, tls=listener[1])

    first = await outbound.post("https://hooks.example/", b"", {"Connection": "close"})
    second = await asked(outbound, "https://hooks.example/")

    assert isinstance(first, HttpAnswer)
    assert isinstance(second, Result)
    assert second.status == "failed"
    assert connected == [PUBLIC]
    assert resolver.asked == ["hooks.example", "hooks.example"]  # once for each request


async def test_a_certificate_for_another_name_is_refused(listener: tuple[Listener, Any], connected: list[str]) -> None:
    answer = await asked(Outbound(resolver=ScriptedResolver([[PUBLIC]]), tls=listener[1]), "https://other.example/")

    assert isinstance(answer, Result)
    assert answer.status == "failed"
    assert connected == [PUBLIC]
    assert listener[0].hosts == []


async def test_a_host_that_the_settings_allow_may_have_a_private_address(listener: tuple[Listener, Any]) -> None:
    server, tls = listener
    resolver = ScriptedResolver([["127.0.0.1"]])
    outbound = Outbound([f"hooks.example:{server.port}"], resolver=resolver, tls=tls)

    answer = await outbound.post(f"https://hooks.example:{server.port}/", b"", {})
    another = await outbound.post(f"https://sub.hooks.example:{server.port}/", b"", {})
    plain = await asked(outbound, f"http://hooks.example:{server.port}/")

    assert isinstance(answer, HttpAnswer)
    assert isinstance(another, Result)
    assert isinstance(plain, Result)
    assert (another.status, plain.status) == ("failed", "rejected")
    assert server.hosts == [f"hooks.example:{server.port}"]


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",
        "ftp://hooks.example/",
        "file:///etc/passwd",
        "https://",
        "https://user:word@hooks.example/",
        "https://hooks.example:99999/",
        "//hooks.example/",
        "https://[::1/",
    ],
)
def test_a_url_of_another_form_is_refused(url: str) -> None:
    assert Outbound().refuses(url)


async def test_a_redirect_is_an_answer_and_is_not_followed(listener: tuple[Listener, Any]) -> None:
    server, tls = listener
    server.status, server.headers = 307, {"Location": f"https://127.0.0.1:{server.port}/secret"}

    answer = await asked(Outbound([f"127.0.0.1:{server.port}"], tls=tls), f"https://127.0.0.1:{server.port}/")

    assert isinstance(answer, HttpAnswer)
    assert answer.status == 307
    assert len(server.hosts) == 1


async def test_a_proxy_of_the_environment_is_not_used(
    listener: tuple[Listener, Any], connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    answer = await asked(Outbound(resolver=ScriptedResolver([[PUBLIC]]), tls=listener[1]), "https://hooks.example/")

    assert isinstance(answer, HttpAnswer)
    assert connected == [PUBLIC]


async def test_a_long_answer_is_cut_and_a_late_one_is_not_awaited(listener: tuple[Listener, Any]) -> None:
    server, tls = listener
    server.content = b"x" * (20 * MAX_ANSWER_BYTES)
    outbound = Outbound([f"127.0.0.1:{server.port}"], tls=tls)

    long = await outbound.post(f"https://127.0.0.1:{server.port}/", b"", {})
    server.hangs = True
    late = await asked(outbound, f"https://127.0.0.1:{server.port}/", 0.2)

    assert isinstance(long, HttpAnswer)
    assert len(long.content) == MAX_ANSWER_BYTES
    assert isinstance(late, Result)
    assert late.status == "unknown"


async def test_a_compressed_answer_is_not_decompressed(listener: tuple[Listener, Any]) -> None:
    server, tls = listener
    server.content, server.headers = b"\x1f\x8bno gzip", {"Content-Encoding": "gzip"}

    answer = await asked(Outbound([f"127.0.0.1:{server.port}"], tls=tls), f"https://127.0.0.1:{server.port}/")

    assert isinstance(answer, HttpAnswer)
    assert answer.content == b"\x1f\x8bno gzip"
