"""E-mails as bytes: multipart, with one-click unsubscription, and without a header that a user could have written."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, parseaddr
from typing import Any

from models.delivery.messages import Message

MAX_LINE = 998
"""Maximum number of characters on a line that RFC 5322 allows.

At the usual 78, the library would turn the header of a long link into encoded words, which no mailbox understands.
"""
_MAX_WORD_BYTES = 45
"""Maximum number of bytes of text in an encoded word.

RFC 2047 allows 75 characters. The frame leaves space for 60 characters of base64, which are 45 bytes.
"""


class _Policy(EmailPolicy):
    """The library's policy, except for subjects: there the library drops blanks and misreads text as encoded words."""

    def header_store_parse(self, name: str, value: str) -> tuple[str, Any]:
        stored = super().header_store_parse(name, value)  # raises an error for line ends
        return (name, value) if name == "Subject" else stored

    def fold(self, name: str, value: Any) -> str:
        return f"Subject: {_encoded(value)}\r\n" if name == "Subject" else super().fold(name, value)

    def fold_binary(self, name: str, value: Any) -> bytes:
        return self.fold(name, value).encode("ascii") if name == "Subject" else super().fold_binary(name, value)


# Only 7 bits, because a server that recodes a body on the way would make its signature invalid.
_POLICY = _Policy(linesep="\r\n", max_line_length=MAX_LINE, cte_type="7bit")


def _encoded(text: str) -> str:
    """Encode a text for a header: as it is, or as encoded words that each hold whole characters."""
    if text.isascii() and text.isprintable() and "=?" not in text and len(text) <= MAX_LINE - len("Subject: "):
        return text
    words, word = [], b""
    for character in text:
        encoded = character.encode()
        if len(word) + len(encoded) > _MAX_WORD_BYTES:
            words.append(word)
            word = b""
        word += encoded
    return "\r\n ".join(f"=?utf-8?b?{b64encode(each).decode()}?=" for each in [*words, word])


def build(message: Message, *, sender: str, unsubscribe: str | None, reply_to: str | None = None) -> EmailMessage:
    """Write a message as an e-mail.

    Parameters
    ----------
    message
        A message of channel ``email``.
    sender
        ``Name <address>`` or an address.
    unsubscribe
        The signed link for the headers of marketing. The bodies contain it already.
    reply_to
        Address for answers, if it is not the sender's.

    Raises
    ------
    ValueError
        The address or the subject is not allowed in a header.
    """
    name, address = parseaddr(sender)
    domain = domain_of(sender)
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = Address(name, addr_spec=address)
    mail["To"] = Address(addr_spec=message.to)
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.at / 1000, UTC))
    # If a message is sent twice, the receiver can recognize the copies, because they have the same id.
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    if reply_to:
        mail["Reply-To"] = reply_to
    if message.category == "marketing":
        mail["List-ID"] = f"<{message.purpose}.{domain}>"  # mailboxes sort by it
        if unsubscribe is not None:
            mail["List-Unsubscribe"] = f"<{unsubscribe}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    if message.html is not None:
        mail.add_alternative(message.html, subtype="html")
        mail.set_boundary(f"=_{message.id}")  # the library's boundary is random and would change the bytes
    return mail


def address_of(sender: str) -> str:
    """Return the bare address of ``Name <address>``.

    Examples
    --------
    >>> address_of("Shop <hello@shop.example>")
    'hello@shop.example'
    """
    return parseaddr(sender)[1]


def domain_of(sender: str) -> str:
    """Return the domain of ``Name <address>``.

    Examples
    --------
    >>> domain_of("Shop <hello@shop.example>")
    'shop.example'
    """
    return address_of(sender).rpartition("@")[2]
