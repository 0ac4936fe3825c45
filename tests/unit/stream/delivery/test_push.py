"""The address of a push message decides which provider takes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stream.delivery.fcm import Fcm
from stream.delivery.push import Push, PushKeys, open_push
from stream.delivery.web_push import WebPush
from stream.settings.outbound_schema import OutboundSection
from stream.settings.push_schema import PushSection
from tests.support.fcm import FakeFcm, device, push_message, serving_fcm
from tests.support.web_push import FakePushService, serving_web_push


@pytest.fixture
async def server() -> AsyncIterator[FakeFcm]:
    """A server that speaks FCM."""
    async with serving_fcm(FakeFcm()) as served:
        yield served


async def test_a_token_goes_to_fcm_and_a_subscription_to_its_push_service(server: FakeFcm, tmp_path: Path) -> None:
    service = FakePushService()
    async with serving_web_push(service, tmp_path) as tls:
        push = Push(
            Fcm(server.section, server.account), WebPush(service.section, service.key, outbound=service.outbound(tls))
        )
        results = [await push.deliver(one, unsubscribe=None) for one in (push_message(1), service.message(2))]
        await push.close()

    assert [result.status for result in results] == ["delivered", "delivered"]
    assert [sent["token"] for sent in server.sent] == [device(1)]
    assert [endpoint for endpoint, _ in service.sent] == [service.endpoint(2)]


async def test_a_message_whose_service_is_not_set_is_refused_with_the_setting_that_is_missing(server: FakeFcm) -> None:
    service = FakePushService(url="https://push.example")
    apps, browsers = (
        Push(Fcm(server.section, server.account), None),
        Push(None, WebPush(service.section, service.key, outbound=service.outbound())),
    )

    refused = [
        await apps.deliver(service.message(), unsubscribe=None),
        await browsers.deliver(push_message(), unsubscribe=None),
        await browsers.deliver(push_message(to="nonsense"), unsubscribe=None),
    ]
    await apps.close()

    assert [(one.status, one.called) for one in refused] == [("rejected", False)] * 3
    assert "delivery.push.web" in refused[0].detail
    assert "delivery.push.fcm" in refused[1].detail
    assert "token: found 8 characters" in refused[2].detail
    assert not server.asked


async def test_neither_service_can_be_asked_about_a_message(server: FakeFcm) -> None:
    push = Push(Fcm(server.section, server.account), None)

    assert push.lookup_delays_ms == ()
    assert (await push.look_up(push_message())).status == "unknown"


def test_a_service_is_opened_if_it_is_set_and_its_key_was_read(server: FakeFcm) -> None:
    service = FakePushService()
    section = PushSection(fcm=server.section, web=service.section)

    assert open_push(section, PushKeys(), OutboundSection()) is None
    assert open_push(PushSection(fcm=server.section), PushKeys(vapid=service.key), OutboundSection()) is None
    assert "Fcm" in repr(open_push(section, PushKeys(account=server.account), OutboundSection()))
    assert "WebPush" in repr(open_push(section, PushKeys(account=server.account, vapid=service.key), OutboundSection()))
