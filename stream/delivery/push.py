"""Push messages: the address decides whether FCM or a web push service takes the message."""

from __future__ import annotations

from dataclasses import dataclass

from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.delivery.push_address import DeviceToken, InvalidPushAddress, parse_push_address
from stream.delivery.fcm import Fcm
from stream.delivery.google_tokens import ServiceAccount
from stream.delivery.outbound import Outbound
from stream.delivery.provider import CannotBeAsked, LastCheck, Provider, allow
from stream.delivery.vapid import VapidKey
from stream.delivery.web_push import WebPush
from stream.settings.outbound_schema import OutboundSection
from stream.settings.push_schema import PushSection


@dataclass(frozen=True, slots=True)
class PushKeys:
    """Secrets of the push services; ``None`` if the settings do not name the service.

    Attributes
    ----------
    account
        The service account for FCM.
    vapid
        The key for web push.
    """

    account: ServiceAccount | None = None
    vapid: VapidKey | None = None


class Push(CannotBeAsked):
    """A provider of push messages for apps and browsers.

    Parameters
    ----------
    fcm, web
        The provider of each kind of address; ``None`` if the settings do not name it.
    """

    def __init__(self, fcm: Provider | None, web: Provider | None) -> None:
        self._fcm = fcm
        self._web = web

    def __repr__(self) -> str:
        return f"<Push {self._fcm!r}, {self._web!r}>"

    @property
    def max_concurrency(self) -> int:
        """The larger of the two numbers of concurrent requests."""
        return max(one.max_concurrency for one in self._each())

    async def deliver(self, message: Message, *, unsubscribe: str | None, last_check: LastCheck = allow) -> Result:
        """Hand one message to the provider of its address."""
        try:
            address = parse_push_address(message.to)
        except InvalidPushAddress as error:
            return Result("rejected", str(error), called=False)
        is_device = isinstance(address, DeviceToken)
        provider = self._fcm if is_device else self._web
        if provider is None:
            missing = "delivery.push.fcm (for device tokens)" if is_device else "delivery.push.web (for browsers)"
            return Result("rejected", f"{missing} is not set", called=False)
        return await provider.deliver(message, unsubscribe=unsubscribe, last_check=last_check)

    async def close(self) -> None:
        """Close all connections."""
        for one in self._each():
            await one.close()

    def _each(self) -> list[Provider]:
        return [one for one in (self._fcm, self._web) if one is not None]


def open_push(section: PushSection, keys: PushKeys, outbound: OutboundSection) -> Push | None:
    """Open the services that the settings name and whose keys are there; ``None`` if there is none.

    Parameters
    ----------
    section, keys
        Settings of push, and their secrets.
    outbound
        Hosts that may have a private address.
    """
    fcm = None if section.fcm is None or keys.account is None else Fcm(section.fcm, keys.account, section.link)
    web = None
    if section.web is not None and keys.vapid is not None:
        web = WebPush(section.web, keys.vapid, section.link, outbound=Outbound(outbound.allow))
    return None if fcm is None and web is None else Push(fcm, web)
