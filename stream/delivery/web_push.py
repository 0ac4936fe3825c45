"""Push messages for browsers (RFC 8030), encrypted for the browser (RFC 8291) and signed by the sender (RFC 8292).

A push service has no idempotency key, and cannot be asked about a message. If a request gets no answer, its outcome
stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec

from models.delivery.bounces import of_web_push
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.delivery.push_address import InvalidPushAddress, WebPushSubscription, parse_push_address
from models.delivery.push_content import MAX_WEB_PUSH_BYTES, life_s, replacing_key, urgency_of, web_push_content
from models.units import now_ms
from stream.delivery.outbound import Outbound
from stream.delivery.posting import HttpAnswer
from stream.delivery.provider import CannotBeAsked, LastCheck, allow
from stream.delivery.retry_after import retry_after
from stream.delivery.vapid import VapidKey, VapidSigner
from stream.settings.push_schema import WebPushSection

MAX_CONCURRENCY = 64
"""Maximum number of concurrent requests."""
REQUEST_TIMEOUT_S = 15.0
"""How long one request may take, seconds."""
MAX_ID = 200
"""Maximum number of characters of a message's URL that are kept."""


class WebPush(CannotBeAsked):
    """A provider of push messages for browsers.

    The URL of a subscription comes from a user. So only the hosts of the settings are called, and only by the client
    that reaches no private address.

    Parameters
    ----------
    section
        Settings of web push.
    key
        The key of the sender.
    link
        Page that a click on a message opens.
    outbound
        The client for addresses of others. This provider closes it.
    timeout_s
        Maximum time of one request, seconds.
    now
        Returns the time of the wall clock, milliseconds.
    """

    def __init__(
        self,
        section: WebPushSection,
        key: VapidKey,
        link: str | None = None,
        *,
        outbound: Outbound,
        timeout_s: float = REQUEST_TIMEOUT_S,
        now: Callable[[], int] = now_ms,
    ) -> None:
        self._hosts = section.hosts
        self._signer = VapidSigner(key, section.contact, now=now)
        self._link = link
        self._outbound = outbound
        self._timeout_s = timeout_s
        self._now = now

    def __repr__(self) -> str:
        return f"<WebPush {self._signer!r}>"

    @property
    def max_concurrency(self) -> int:
        """Maximum number of concurrent requests."""
        return MAX_CONCURRENCY

    async def deliver(self, message: Message, *, unsubscribe: str | None, last_check: LastCheck = allow) -> Result:
        """Hand one message over."""
        try:
            address = parse_push_address(message.to)
            content = web_push_content(message, unsubscribe=unsubscribe, link=self._link)
        except InvalidPushAddress as error:
            return Result("rejected", str(error), called=False)
        except UnicodeEncodeError as error:
            return Result("rejected", f"it cannot be written as JSON: {error}", called=False)
        if not isinstance(address, WebPushSubscription):
            return Result("rejected", "web push takes no device token", called=False)
        if not is_listed(address.host, self._hosts):
            return Result("rejected", f"{address.host} is not in delivery.push.web.hosts", called=False)
        if len(content) > MAX_WEB_PUSH_BYTES:
            detail = f"the message has {len(content)} bytes; web push takes {MAX_WEB_PUSH_BYTES}"
            return Result("rejected", detail, called=False)
        stopped = last_check()
        if stopped is not None:
            return stopped
        headers = {
            "Authorization": self._signer.authorization(address.origin),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(life_s(message, self._now())),
            "Urgency": urgency_of(message),
            "Topic": replacing_key(message),
        }
        encrypted = encrypted_for(address, content)
        answer = await self._outbound.post(address.endpoint, encrypted, headers, self._timeout_s)
        return answer if isinstance(answer, Result) else _result(answer)

    async def close(self) -> None:
        """Close all connections."""
        await self._outbound.close()


def is_listed(host: str, hosts: Collection[str]) -> bool:
    """Return whether a host is in a list; ``*.push.example`` means each host below ``push.example``.

    Examples
    --------
    >>> hosts = ["a.example", "*.b.example"]
    >>> [is_listed(host, hosts) for host in ("a.example", "x.a.example", "b.example", "x.b.example")]
    [True, False, False, True]
    """
    return any(host == one or (one.startswith("*.") and host.endswith(one[1:])) for one in hosts)


def encrypted_for(subscription: WebPushSubscription, content: bytes) -> bytes:
    """Return a message that only the browser of the subscription can read, each time with a new key and salt."""
    encrypted = http_ece.encrypt(
        content,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=subscription.p256dh,
        auth_secret=subscription.auth,
        version="aes128gcm",
    )
    return bytes(encrypted)


def _result(answer: HttpAnswer) -> Result:
    status = answer.status
    if 200 <= status < 300:
        return Result("delivered", f"{status}", provider_id=answer.headers.get("Location", "")[:MAX_ID])
    words = answer.content[:MAX_ID].decode("utf-8", "replace")
    detail, code = " ".join(f"{status} {answer.reason} {words}".split())[:MAX_ID], f"{status}"
    if status in (401, 403) or status < 400:
        # The key of the sender is not the one of this subscription, or the service asks for something else. A person
        # can end both, and then the message can be sent. Other subscriptions are not affected.
        return Result("failed", detail, bounce="sender", code=code)
    if status == 429:
        return Result("failed", detail, retry_after=retry_after(answer.headers), trouble=True)
    if status in (500, 503):
        # The service says that it has failed. If it has kept the message, the topic lets the next attempt replace it.
        return Result("failed", detail, retry_after=retry_after(answer.headers), trouble=True)
    if status > 500:
        # A gateway that gave up waiting answers like this. The service behind it may have accepted the message.
        return Result("unknown", detail, trouble=True, answered=True)
    return Result("rejected", detail, bounce=of_web_push(status), code=code)
