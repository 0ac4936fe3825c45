"""Messages to deliver."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from models.delivery.messages import Message, message_id

NOW = 1_700_000_000_000
LINK = "https://events.example.com/v1/unsubscribe?token=" + "x" * 160


def letter(number: int = 0, **changed: object) -> Message:
    """Make a live marketing e-mail."""
    made = Message(
        id=message_id("u1", "win_back", f"m{number}", NOW),
        user="u1",
        rule="win_back",
        category="marketing",
        channel="email",
        to=f"u{number}@example.com",
        subject="Grüße, Ada",
        text="Schöne Grüße\n" + "lang " * 300 + "\n.\nEnde\n",
        html="<p>Schöne Grüße</p>",
        why="churn risk rose",
        at=NOW,
        expires=NOW + 86_400_000,
        origin="live",
    )
    return msgspec.structs.replace(made, **changed)


def letters(count: int) -> list[Message]:
    """Make short live e-mails that are decided now, one to each of this many users."""
    now = time.time_ns() // 1_000_000
    return [
        letter(
            id=message_id(f"u{number}", "win_back", "m", now),
            user=f"u{number}",
            to=f"u{number}@example.com",
            text="Hi\n",
            html=None,
            at=now,
            expires=now + 3_600_000,
        )
        for number in range(count)
    ]


def text_message(**changed: object) -> Message:
    """Make a live marketing SMS."""
    sms = letter(channel="sms", to="+4930901820", subject="", text="Hello Ada\n", html=None)
    return msgspec.structs.replace(sms, **changed)


def files(folder: Path) -> list[str]:
    """Return the names of all files in a folder; none if the folder does not exist."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
