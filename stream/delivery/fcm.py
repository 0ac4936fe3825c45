"""Push messages for apps over the HTTP v1 API of Firebase Cloud Messaging.

FCM has no idempotency key, and cannot be asked about a message. If a request gets no answer, its outcome stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import msgspec

from models.delivery.bounces import of_fcm
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.delivery.push_address import DeviceToken, InvalidPushAddress, parse_push_address
from models.delivery.push_content import MAX_FCM_BYTES, fcm_content, fcm_size
from models.units import now_ms
from stream.delivery.google_tokens import GoogleTokens, ServiceAccount
from stream.delivery.posting import HttpAnswer, post
from stream.delivery.provider import CannotBeAsked, LastCheck, allow
from stream.delivery.retry_after import retry_after
from stream.settings.push_schema import FcmSection

MAX_CONCURRENCY = 64
"""Maximum number of concurrent requests."""
REQUEST_TIMEOUT_S = 15.0
"""How long one request may take, seconds."""
QUOTA_WAIT_S = 60.0
"""How long to wait after too many messages if FCM names no time, seconds; FCM's documentation asks for a minute."""

_CONFIGURATION = frozenset({"SENDER_ID_MISMATCH", "THIRD_PARTY_AUTH_ERROR"})
"""Error codes that a person ends by correcting the project. Messages to other devices are not affected."""
_INVALID_TOKEN = "The registration token is not a valid FCM registration token"  # noqa: S105 - words of FCM


class Fcm(CannotBeAsked):
    """A provider of push messages for apps.

    Parameters
    ----------
    section
        Settings of the project.
    account
        The service account, which names the project.
    link
        Page that a click on a message opens.
    timeout_s
        Maximum time of one request, seconds.
    now
        Returns the time of the wall clock, milliseconds.
    """

    def __init__(
        self,
        section: FcmSection,
        account: ServiceAccount,
        link: str | None = None,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
        now: Callable[[], int] = now_ms,
    ) -> None:
        self._project = account.project_id
        self._link = link
        self._timeout_s = timeout_s
        self._now = now
        self._url = f"{section.base_url.rstrip('/')}/v1/projects/{account.project_id}/messages:send"
        self._tokens = GoogleTokens(account, now=now, timeout_s=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<Fcm {self._project}>"

    @property
    def max_concurrency(self) -> int:
        """Maximum number of concurrent requests."""
        return MAX_CONCURRENCY

    async def deliver(self, message: Message, *, unsubscribe: str | None, last_check: LastCheck = allow) -> Result:
        """Hand one message over."""
        try:
            address = parse_push_address(message.to)
            if not isinstance(address, DeviceToken):
                return Result("rejected", "FCM takes no web push subscription", called=False)
            made = fcm_content(address.token, message, unsubscribe=unsubscribe, link=self._link, now=self._now())
            content = msgspec.json.encode(made)
        except InvalidPushAddress as error:
            return Result("rejected", str(error), called=False)
        except UnicodeEncodeError as error:
            return Result("rejected", f"it cannot be written as JSON: {error}", called=False)
        if fcm_size(made) > MAX_FCM_BYTES:
            detail = f"title, text and data have {fcm_size(made)} bytes; FCM takes {MAX_FCM_BYTES}"
            return Result("rejected", detail, called=False)
        session = self._open()
        token = await self._tokens.token(session)
        if isinstance(token, Result):
            return token
        # Fetching the token may have taken a while, so check again before the message is sent.
        stopped = last_check()
        if stopped is not None:
            return stopped
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json; charset=utf-8"}
        answer = await post(session, self._url, content, headers, self._timeout_s)
        if isinstance(answer, Result):
            return answer
        if answer.status == 401:
            self._tokens.forget(token)
        return _result(answer)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session


def _result(answer: HttpAnswer) -> Result:
    status = answer.status
    if 200 <= status < 300:
        return Result("delivered", f"{status}", provider_id=str(answer.fields.get("name", "")))
    error = answer.fields.get("error")
    fields = error if isinstance(error, dict) else {}
    name = next(_error_codes(fields), "")
    detail = " ".join(f"{status} {name} {fields.get('message', answer.reason)}".split())[:200]
    bounce, code = of_fcm(name, names_token=_names_token(fields)), f"{status} {name}".strip()
    if name in _CONFIGURATION:
        # The message can be sent once the project is corrected. Other devices are not affected, so no pause is needed.
        return Result("failed", detail, bounce=bounce, code=code)
    if name == "UNREGISTERED" or (status == 400 and name in ("", "INVALID_ARGUMENT")):
        return Result("rejected", detail, bounce=bounce or "sender", code=code)
    if status == 429:
        return Result("failed", detail, retry_after=retry_after(answer.headers) or QUOTA_WAIT_S, trouble=True)
    if status == 503 or name in ("UNAVAILABLE", "INTERNAL"):
        # FCM's documentation says to send it again. If the device has got it, the replacing key prevents a second one.
        return Result("failed", detail, retry_after=retry_after(answer.headers), trouble=True)
    if status >= 500:
        # A gateway that gave up waiting answers like this. FCM behind it may have accepted the message.
        return Result("unknown", detail, trouble=True, answered=True)
    # A login that is refused, a project that does not exist, a redirect: it is the same for every message.
    return Result("failed", detail, trouble=True, bounce="sender", code=code)


def _error_codes(error: dict[str, Any]) -> Iterator[str]:
    """Yield the error codes of an answer: FCM's own first, and then Google's general one."""
    for detail in _details(error):
        code = detail.get("errorCode")
        if isinstance(code, str) and code:
            yield code
    if error.get("status") == "INTERNAL":
        yield "INTERNAL"


def _names_token(error: dict[str, Any]) -> bool:
    """Return whether an answer says that the token is wrong, and not another field."""
    violations = [one for detail in _details(error) for one in _dicts(detail.get("fieldViolations"))]
    if violations:
        return all(one.get("field") == "message.token" for one in violations)
    return str(error.get("message", "")).startswith(_INVALID_TOKEN)


def _details(error: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from _dicts(error.get("details"))


def _dicts(found: object) -> Iterator[dict[str, Any]]:
    yield from (one for one in found if isinstance(one, dict)) if isinstance(found, list) else ()
