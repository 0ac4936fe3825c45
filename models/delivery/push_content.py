"""Content of push messages: what FCM and the browsers' push services get for one message."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import Any, Literal, TypeAlias

import msgspec

from models.delivery.messages import Message
from models.units import DAY, SECOND

MAX_LIFE_S = 28 * DAY // SECOND
"""Maximum time that a push service keeps a message for a device that is offline, seconds."""
MAX_FCM_BYTES = 4096
"""Maximum size of notification and data, which FCM accepts."""
MAX_WEB_PUSH_BYTES = 3993
"""Maximum size of a web push message before its encryption (RFC 8291, section 4)."""

Urgency: TypeAlias = Literal["normal", "high"]
"""Urgency of RFC 8030. A device in its saving mode wakes up only for ``high``."""


def life_s(message: Message, now: int) -> int:
    """Return how long a push service may keep a message for a device that is offline, seconds.

    So a device that comes back after the expiry shows nothing. For marketing, the expiry is not later than the
    beginning of quiet hours.
    """
    return max(0, min((message.expires - now) // SECOND, MAX_LIFE_S))


def urgency_of(message: Message) -> Urgency:
    """Return the urgency of a message: ``high`` for transactional ones alone."""
    return "high" if message.category == "transactional" else "normal"


def replacing_key(message: Message) -> str:
    """Return the key by which a device recognizes that a message replaces an earlier one, 32 characters of base64url.

    A marketing message replaces the earlier one of its rule. A transactional message replaces only itself, if it was
    sent twice.
    """
    if message.category == "transactional":
        return message.id
    return urlsafe_b64encode(blake2b(message.rule.encode(), digest_size=24, person=b"perennial push").digest()).decode()


def fcm_content(token: str, message: Message, *, unsubscribe: str | None, link: str | None, now: int) -> dict[str, Any]:
    """Make the body of ``messages:send`` of FCM's HTTP v1 API.

    Parameters
    ----------
    token
        Token of the device.
    message
        The message; its subject becomes the title.
    unsubscribe
        The signed link, which the app gets with marketing.
    link
        Page that a click opens.
    now
        Time of the wall clock, milliseconds.
    """
    key, seconds, urgent = replacing_key(message), life_s(message, now), urgency_of(message) == "high"
    android: dict[str, Any] = {
        "ttl": f"{seconds}s",
        "priority": "HIGH" if urgent else "NORMAL",
        "notification": {"tag": key},
    }
    if not urgent:
        # FCM keeps messages of four keys for a device, and may forget others. So transactional ones have no key.
        android["collapse_key"] = key
    web: dict[str, Any] = {
        "headers": {"TTL": str(seconds), "Urgency": urgency_of(message), "Topic": key},
        "notification": {"tag": key},
    }
    if link is not None:
        web["fcm_options"] = {"link": link}
    apple = {
        "apns-expiration": str((now // SECOND) + seconds),
        "apns-priority": "10" if urgent else "5",
        "apns-collapse-id": key,
    }
    content = {
        "token": token,
        "notification": _notification(message),
        "data": _data(message, unsubscribe, link),
        "android": android,
        "webpush": web,
        "apns": {"headers": apple},
    }
    return {"message": content}


def fcm_size(content: dict[str, Any]) -> int:
    """Return the size of the parts of a message that FCM limits, bytes."""
    message = content["message"]
    return sum(
        len(name.encode()) + len(text.encode())
        for part in (message["notification"], message["data"])
        for name, text in part.items()
    )


def web_push_content(message: Message, *, unsubscribe: str | None, link: str | None) -> bytes:
    """Write the JSON that the page's service worker gets.

    It has the form of Declarative Web Push, so browsers with this standard show it without a service worker.

    Parameters
    ----------
    message, unsubscribe, link
        See :func:`fcm_content`.
    """
    notification: dict[str, Any] = {**_notification(message), "tag": replacing_key(message)}
    if link is not None:
        notification["navigate"] = link
    notification["data"] = _data(message, unsubscribe, link)
    return msgspec.json.encode({"web_push": 8030, "notification": notification})


def _notification(message: Message) -> dict[str, str]:
    title = " ".join(message.subject.split())
    body = message.text.strip()
    return {"title": title, "body": body} if title else {"body": body}


def _data(message: Message, unsubscribe: str | None, link: str | None) -> dict[str, str]:
    # FCM keeps some names for itself, such as "from" and "message_type", so ours have a prefix.
    data = {"perennial_message": message.id}
    if message.category == "marketing" and unsubscribe is not None:
        data["perennial_unsubscribe"] = unsubscribe
    if link is not None:
        data["perennial_link"] = link
    return data
