"""The outbox: messages as files, for development, for demos, and for all messages that must not leave this machine."""

from __future__ import annotations

import asyncio
from email.errors import MessageError
from pathlib import Path

import msgspec

from models.delivery.deliveries import Result
from models.delivery.messages import Message
from stream.delivery import mime

SENDER = "Perennial outbox <outbox@perennial.invalid>"
"""Sender of e-mails if the settings name none."""


class Outbox:
    """A folder with one file per message: ``<id>.eml`` for an e-mail, ``<id>.json`` for an SMS.

    Parameters
    ----------
    folder
        The folder. The first message makes it if it does not exist.
    sender
        Sender of e-mails.
    """

    def __init__(self, folder: Path, sender: str = SENDER) -> None:
        self._folder = folder
        self._sender = sender

    def __repr__(self) -> str:
        return f"<Outbox {self._folder}>"

    async def deliver(self, message: Message, *, unsubscribe: str | None, note: str) -> Result:
        """Write one message.

        Parameters
        ----------
        message, unsubscribe
            The message, and its signed link.
        note
            Reason why the message is here and not at a provider; it is written into the file.
        """
        # The file is written in a thread, because a disk can be slow and the event loop serves other recipients, too.
        try:
            path = await asyncio.to_thread(self._write, message, unsubscribe, note)
        except (ValueError, IndexError, MessageError) as error:
            return Result("rejected", f"it cannot be written as an e-mail: {error}", called=False)
        except OSError as error:
            return Result("failed", f"outbox: {error}", called=False)
        return Result("delivered", f"outbox ({note})", provider_id=path.name, called=False)

    def _write(self, message: Message, unsubscribe: str | None, note: str) -> Path:
        if message.channel == "email":
            mail = mime.build(message, sender=self._sender, unsubscribe=unsubscribe)
            # Only the outbox has these headers: a recipient must see neither a score nor a rule.
            mail["X-Perennial-User"] = _header(message.user)
            mail["X-Perennial-Rule"] = _header(f"{message.rule} ({message.category})")
            mail["X-Perennial-Why"] = _header(message.why)
            mail["X-Perennial-Origin"] = message.origin
            mail["X-Perennial-Outbox"] = _header(note)
            path, content = self._folder / f"{message.id}.eml", mail.as_bytes()
        else:
            fields = {**msgspec.to_builtins(message), "outbox": note}
            path = self._folder / f"{message.id}.json"
            content = msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n"
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        draft.write_bytes(content)
        draft.replace(path)  # so a reader sees a whole file or none
        return path


def _header(text: str) -> str:
    return " ".join(text.split())
