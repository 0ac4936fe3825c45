"""The provider of web push, against a push service that verifies signatures, with browsers that decrypt."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from models.delivery.deliveries import Result
from models.delivery.push_address import WebPushSubscription, parse_push_address
from models.delivery.push_content import MAX_WEB_PUSH_BYTES
from models.units import HOUR, now_ms
from stream.delivery.outbound import Outbound
from stream.delivery.vapid import MAX_ORIGINS, VapidKey, VapidSigner, make_vapid_key, read_vapid_key
from stream.delivery.web_push import WebPush, encrypted_for
from stream.settings.push_schema import PUSH_SERVICES
from tests.support.fcm import device, pem_of, rsa_key
from tests.support.letters import LINK
from tests.support.web_push import (
    CONTACT,
    FakeBrowser,
    FakePushService,
    WebPushAnswer,
    decoded,
    encoded,
    serving_web_push,
)

Open = Callable[..., WebPush]


@pytest.fixture
def service() -> FakePushService:
    """A push service."""
    return FakePushService()


@pytest.fixture
async def tls(service: FakePushService, tmp_path: Path) -> AsyncIterator[ssl.SSLContext]:
    """The TLS context of a client that trusts the push service, which is served."""
    async with serving_web_push(service, tmp_path) as context:
        yield context


@pytest.fixture
async def open_web_push(service: FakePushService, tls: ssl.SSLContext) -> AsyncIterator[Open]:
    """A function that opens a provider for the push service."""
    opened: list[WebPush] = []

    def make(key: VapidKey | None = None, link: str | None = None, timeout_s: float = 30.0, **changed: Any) -> WebPush:
        section = msgspec.structs.replace(service.section, **changed)
        opened.append(WebPush(section, key or service.key, link, outbound=service.outbound(tls), timeout_s=timeout_s))
        return opened[-1]

    yield make
    for one in opened:
        await one.close()


def test_the_browser_of_the_tests_reads_the_example_of_rfc_8291() -> None:
    scalar = int.from_bytes(decoded("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
    browser = FakeBrowser(ec.derive_private_key(scalar, ec.SECP256R1()), decoded("BTBZMqHH6r4Tts7J_aSIgg"))
    content = decoded(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
        "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )

    assert browser.decrypt(content) == b"When I grow up, I want to be a watermelon"


async def test_the_browser_gets_the_message_encrypted_and_the_service_its_headers(
    service: FakePushService, open_web_push: Open
) -> None:
    message = service.message(expires=now_ms() + 90_500)

    result = await open_web_push(link="https://shop.example/").deliver(message, unsubscribe=LINK)

    assert (result.status, result.provider_id) == ("delivered", f"{service.url}/message/1")
    ((endpoint, fields),) = service.sent
    (headers,) = service.headers
    assert endpoint == service.endpoint()
    assert fields == {
        "web_push": 8030,
        "notification": {
            "title": "Grüße, Ada",
            "body": "Hello Ada 0",
            "tag": headers["Topic"],
            "navigate": "https://shop.example/",
            "data": {
                "perennial_message": message.id,
                "perennial_unsubscribe": LINK,
                "perennial_link": "https://shop.example/",
            },
        },
    }
    assert 85 <= int(headers["TTL"]) <= 90
    assert headers["Urgency"] == "normal"


async def test_a_transactional_message_is_urgent_and_replaces_only_itself(
    service: FakePushService, open_web_push: Open
) -> None:
    message = service.message(category="transactional")

    await open_web_push().deliver(message, unsubscribe=LINK)

    (headers,) = service.headers
    assert (headers["Urgency"], headers["Topic"], headers["TTL"]) == ("high", message.id, "0")
    assert service.sent[0][1]["notification"]["data"] == {"perennial_message": message.id}


def test_each_message_has_its_own_key_and_salt(service: FakePushService) -> None:
    service.url = "https://push.example"
    address = parse_push_address(service.subscription())
    assert isinstance(address, WebPushSubscription)

    made = [encrypted_for(address, b"hello") for _ in range(20)]

    assert {service.browsers[service.endpoint()].decrypt(one) for one in made} == {b"hello"}
    assert len({one[:16] for one in made}) == len({one[21:86] for one in made}) == 20


@pytest.mark.parametrize(
    ("status", "result", "bounce", "trouble"),
    [
        (404, "rejected", "gone", False),
        (410, "rejected", "gone", False),
        (400, "rejected", "sender", False),
        (413, "rejected", "sender", False),
        (405, "rejected", "soft", False),
        (401, "failed", "sender", False),
        (403, "failed", "sender", False),
        (302, "failed", "sender", False),
        (429, "failed", "", True),
        (500, "failed", "", True),
        (503, "failed", "", True),
        (502, "unknown", "", True),
        (504, "unknown", "", True),
    ],
)
async def test_the_status_decides_what_happens_next(
    service: FakePushService, open_web_push: Open, status: int, result: str, bounce: str, trouble: bool
) -> None:
    service.answers[service.endpoint()] = [WebPushAnswer(status, {"Location": service.endpoint(1)})]

    got = await open_web_push().deliver(service.message(), unsubscribe=None)

    assert (got.status, got.bounce, got.trouble) == (result, bounce, trouble)
    assert got.detail.startswith(str(status))
    assert got.answered == (result == "unknown")
    assert service.asked == {service.endpoint(): 1}  # above all, no redirect was followed
    assert service.sent == []


@pytest.mark.parametrize("status", [429, 503])
async def test_the_wait_is_the_one_that_the_service_asks_for(
    service: FakePushService, open_web_push: Open, status: int
) -> None:
    service.answers[service.endpoint()] = [WebPushAnswer(status, {"Retry-After": "7"})]

    assert (await open_web_push().deliver(service.message(), unsubscribe=None)).retry_after == 7.0


async def test_a_message_that_the_service_kept_although_it_failed_is_replaced_by_the_next_attempt(
    service: FakePushService, open_web_push: Open
) -> None:
    provider, message = open_web_push(), service.message()
    service.answers[service.endpoint()], service.taking = [WebPushAnswer(500)], True

    results = [await provider.deliver(message, unsubscribe=None) for _ in range(2)]

    assert [result.status for result in results] == ["failed", "delivered"]
    assert len(service.sent) == 2
    assert len(service.waiting) == 1


async def test_no_answer_in_time_is_unknown(service: FakePushService, open_web_push: Open) -> None:
    service.hanging = {service.endpoint()}

    assert (await open_web_push(timeout_s=0.3).deliver(service.message(), unsubscribe=None)).status == "unknown"


async def test_a_service_whose_certificate_is_not_trusted_gets_nothing(
    service: FakePushService, tls: ssl.SSLContext
) -> None:
    provider = WebPush(service.section, service.key, outbound=service.outbound())

    result = await provider.deliver(service.message(), unsubscribe=None)
    await provider.close()

    assert (result.status, result.trouble) == ("failed", True)
    assert not service.asked


async def test_a_message_is_refused_by_a_service_that_knows_another_key(
    service: FakePushService, open_web_push: Open
) -> None:
    result = await open_web_push(make_vapid_key()).deliver(service.message(), unsubscribe=None)

    assert (result.status, result.bounce, service.sent) == ("failed", "sender", [])
    assert service.refused == ["the key is not that of the subscription"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"to": "too short"}, "token: found 9 characters"),
        ({"to": device()}, "web push takes no device token"),
        ({"text": "\ud800"}, "cannot be written as JSON"),
        ({"text": "a" * 4000}, "web push takes 3993"),
    ],
)
async def test_a_message_that_web_push_cannot_take_is_not_sent(
    service: FakePushService, open_web_push: Open, changed: dict[str, Any], why: str
) -> None:
    result = await open_web_push().deliver(service.message(**changed), unsubscribe=None)

    assert (result.status, result.called) == ("rejected", False)
    assert why in result.detail
    assert not service.asked


async def test_the_longest_message_that_we_send_is_taken(service: FakePushService, open_web_push: Open) -> None:
    provider, message = open_web_push(), service.message(text="a")
    await provider.deliver(message, unsubscribe=None)
    rest = MAX_WEB_PUSH_BYTES - len(msgspec.json.encode(service.sent[0][1]))

    results = [
        await provider.deliver(msgspec.structs.replace(message, text="a" * (1 + rest + more)), unsubscribe=None)
        for more in (0, 1)
    ]

    assert [result.status for result in results] == ["delivered", "rejected"]
    assert service.refused == []


async def test_a_message_that_the_last_check_stops_does_not_reach_the_service(
    service: FakePushService, open_web_push: Open
) -> None:
    stopped = Result("suppressed", "unsubscribe (marketing)", called=False)

    assert await open_web_push().deliver(service.message(), unsubscribe=None, last_check=lambda: stopped) == stopped
    assert not service.asked


# --- a subscription comes from a user, so its host may be anything


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://127.0.0.1:1/push",
        "https://127.1/push",
        "https://[::1]/push",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/push",
        "https://2130706433/push",
        "https://push.services.mozilla.com.evil.example/push",
        "https://evilpush.apple.com.example/push",
        "https://fcm.googleapis.com.:8443@127.0.0.1/push",
    ],
)
async def test_only_the_hosts_of_the_settings_are_called(
    service: FakePushService, open_web_push: Open, endpoint: str
) -> None:
    provider = open_web_push(hosts=PUSH_SERVICES)

    result = await provider.deliver(service.message(to=FakeBrowser().subscription(endpoint)), unsubscribe=None)

    assert (result.status, result.called) == ("rejected", False)
    assert not service.asked


async def test_a_listed_host_with_a_private_address_needs_an_exception(
    service: FakePushService, tls: ssl.SSLContext
) -> None:
    provider = WebPush(service.section, service.key, outbound=Outbound(tls=tls))

    result = await provider.deliver(service.message(), unsubscribe=None)
    await provider.close()

    assert (result.status, result.called) == ("rejected", False)
    assert "outbound.allow" in result.detail
    assert not service.asked


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "::1", "fd00::1", "fe80::1", "::ffff:127.0.0.1"],
)
async def test_a_listed_address_that_is_not_public_is_not_called(
    service: FakePushService, tls: ssl.SSLContext, address: str
) -> None:
    host, port = f"[{address}]" if ":" in address else address, service.url.rpartition(":")[2]
    section = msgspec.structs.replace(service.section, hosts=(address,))
    provider = WebPush(section, service.key, outbound=Outbound(tls=tls))
    subscription = FakeBrowser().subscription(f"https://{host}:{port}/push/0")

    result = await provider.deliver(service.message(to=subscription), unsubscribe=None)
    await provider.close()

    assert (result.status, result.called) == ("rejected", False)
    assert "is no public address" in result.detail
    assert not service.asked


async def test_a_listed_name_that_leads_into_a_private_network_is_not_called(
    service: FakePushService, open_web_push: Open
) -> None:
    endpoint = service.endpoint().replace("127.0.0.1", "localhost")

    result = await open_web_push(hosts=("localhost",)).deliver(
        service.message(to=FakeBrowser().subscription(endpoint)), unsubscribe=None
    )

    assert result.status == "failed"
    assert "no public address" in result.detail
    assert not service.asked


# --- signatures


def test_a_signature_is_used_again_until_an_hour_before_its_end() -> None:
    time = [0]
    signer = VapidSigner(make_vapid_key(), CONTACT, now=lambda: time[0])

    first = signer.authorization("https://a.example")
    time[0] = 11 * HOUR - 1
    same, other = signer.authorization("https://a.example"), signer.authorization("https://b.example")
    time[0] += 1

    assert first == same != other
    assert signer.authorization("https://a.example") != first


def test_signatures_of_many_services_do_not_pile_up() -> None:
    signer = VapidSigner(make_vapid_key(), CONTACT, now=now_ms)

    for number in range(MAX_ORIGINS + 10):
        signer.authorization(f"https://{number}.notify.windows.com")

    assert f"{MAX_ORIGINS} services" in repr(signer)


def test_a_key_is_read_in_each_form_that_tools_write() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    text = VapidKey(key).private_text

    read = {read_vapid_key(one).public_text for one in (text, text + "=", f"{text}\n", pem_of(key))}
    assert read == {VapidKey(key).public_text}


@pytest.mark.parametrize(
    "text", ["", "nonsense", encoded(b"x" * 31), encoded(b"\xff" * 32), encoded(b"\0" * 32), "-----BEGIN", "é" * 43]
)
def test_any_other_text_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="not a private key of P-256"):
        read_vapid_key(text)


def test_a_key_of_another_curve_is_no_key() -> None:
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa_key()):
        with pytest.raises(ValueError, match="not a private key of P-256"):
            read_vapid_key(pem_of(key))
