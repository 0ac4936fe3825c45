"""Webhooks by the specification Standard Webhooks: each message is a signed request to an endpoint of the settings.

The id of a request is that of its message, the same at each attempt, and a receiver drops an id that it knows. So a
request without an answer is sent again, and its outcome does not stay unknown. If a process ends during a request, the
look-up of its outcome is the same request.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from models.delivery.deliveries import LOOKUP_DELAYS_MS, Result
from models.delivery.messages import Message
from models.delivery.standard_webhooks import RETRY_DELAYS_S, webhook_content, webhook_headers
from models.units import now_ms
from stream.delivery.outbound import TIMEOUT_S, Outbound
from stream.delivery.posting import HttpAnswer
from stream.delivery.provider import LastCheck, allow
from stream.delivery.retry_after import retry_after

MAX_CONCURRENCY = 64
"""Maximum number of concurrent requests."""
GONE = 410
"""Status with which a receiver ends an endpoint."""


class WebhookEndpoint(NamedTuple):
    """An endpoint.

    Attributes
    ----------
    url
        URL of the endpoint.
    keys
        Keys that sign each request.
    """

    url: str
    keys: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"<WebhookEndpoint, {len(self.keys)} keys>"


class Webhooks:
    """A provider of webhooks. The address of a message is the name of an endpoint.

    Parameters
    ----------
    endpoints
        The endpoints by name.
    outbound
        The client, which reaches only public addresses and those that the settings allow. It is closed here.
    timeout_s
        Maximum time of one request, seconds.
    now
        Returns the time of the wall clock, milliseconds.
    """

    def __init__(
        self,
        endpoints: Mapping[str, WebhookEndpoint],
        outbound: Outbound,
        *,
        timeout_s: float = TIMEOUT_S,
        now: Callable[[], int] = now_ms,
    ) -> None:
        self._endpoints = dict(endpoints)
        self._outbound = outbound
        self._timeout_s = timeout_s
        self._now = now
        self._failing: set[str] = set()

    def __repr__(self) -> str:
        return f"<Webhooks {', '.join(sorted(self._endpoints))}>"

    @property
    def max_concurrency(self) -> int:
        """Maximum number of concurrent requests."""
        return MAX_CONCURRENCY

    @property
    def lookup_delays_ms(self) -> tuple[int, ...]:
        """Delays before a request is sent again whose process has ended."""
        return LOOKUP_DELAYS_MS

    async def deliver(
        self,
        message: Message,
        *,
        unsubscribe: str | None,  # noqa: ARG002 - the link is in the text
        last_check: LastCheck = allow,
    ) -> Result:
        """Send one webhook."""
        return await self._send(message, last_check)

    async def look_up(self, message: Message) -> Result:
        """Send the same request again, which the receiver drops if it knows the id; ``unknown`` if it fails."""
        result = await self._send(message, allow)
        return result._replace(status="unknown") if result.status == "failed" else result

    async def close(self) -> None:
        """Close all connections."""
        await self._outbound.close()

    async def _send(self, message: Message, last_check: LastCheck) -> Result:
        endpoint = self._endpoints.get(message.to)
        if endpoint is None:
            # A person can add the endpoint, and then the message can be sent.
            detail = f"delivery.webhooks has no {message.to[:64]}"
            return Result("failed", detail, called=False, delays_s=RETRY_DELAYS_S)
        try:
            content = webhook_content(message)
        except UnicodeEncodeError as error:
            return Result("rejected", f"it cannot be written as JSON: {error}", called=False)
        headers = webhook_headers(message.id, content, endpoint.keys, self._now())
        stopped = last_check()
        if stopped is not None:
            return stopped
        answer = await self._outbound.post(endpoint.url, content, headers, self._timeout_s)
        return self._judged(message, answer)

    def _judged(self, message: Message, answer: HttpAnswer | Result) -> Result:
        """Return the result of a request, and remember whether its endpoint fails."""
        if isinstance(answer, Result):
            if not answer.called:
                return answer
            result = Result("failed", answer.detail)
        else:
            result = _result(message, answer)
        if result.status != "failed":
            self._failing.discard(message.to)
            return result
        self._failing.add(message.to)
        # One endpoint that fails must not stop the others. Only if all of them fail, any other message would fail, too.
        trouble = len(self._failing) == len(self._endpoints)
        return result._replace(trouble=trouble, delays_s=RETRY_DELAYS_S)


def _result(message: Message, answer: HttpAnswer) -> Result:
    status = answer.status
    if 200 <= status < 300:
        return Result("delivered", f"{status}", provider_id=message.id)
    detail = " ".join(f"{status} {answer.reason}".split())[:200]
    if status == GONE:
        # The entry of the suppression list disables the endpoint in every process, until a person removes it.
        return Result("rejected", f"{detail}: the endpoint is disabled", bounce="gone", code=f"{status}")
    return Result("failed", detail, retry_after=retry_after(answer.headers), code=f"{status}")


def open_webhooks(endpoints: Mapping[str, WebhookEndpoint], allowed: Collection[str]) -> Webhooks | None:
    """Open the provider; ``None`` without an endpoint.

    Parameters
    ----------
    endpoints
        The endpoints by name.
    allowed
        See :class:`Outbound`.
    """
    return Webhooks(endpoints, Outbound(allowed)) if endpoints else None
