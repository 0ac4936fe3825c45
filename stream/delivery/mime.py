"""An e-mail as bytes: multipart, one-click unsubscription, and no header that a user could have written."""

from __future__ import annotations

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from models.engage.messages import Message

# Long addresses must stay whole: at 78 the library would turn a link's header into encoded words that no mailbox
# understands. 998 is what RFC 5322 allows on a line.
_POLICY = SMTP.clone(max_line_length=998)


def build(message: Message, *, sender: str, unsubscribe: str | None, reply_to: str | None = None) -> EmailMessage:
    """Write a message as an e-mail.

    Parameters
    ----------
    message
        Of channel ``email``.
    sender
        ``Name <address>`` or an address.
    unsubscribe
        The signed link for the headers of marketing; the bodies have it already.
    reply_to
        Where answers go, if elsewhere.

    Raises
    ------
    ValueError
        The address or the subject cannot stand in a header.
    """
    name, address = parseaddr(sender)
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = Address(name, addr_spec=address)
    mail["To"] = Address(addr_spec=message.to)
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.at / 1000, UTC))
    # the receiver's last line of defence: two copies of one message have one id
    mail["Message-ID"] = f"<{message.id}@{address.rpartition('@')[2]}>"
    if reply_to:
        mail["Reply-To"] = reply_to
    if message.category == "marketing" and unsubscribe is not None:
        mail["List-Unsubscribe"] = f"<{unsubscribe}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    if message.html is not None:
        mail.add_alternative(message.html, subtype="html")
        mail.set_boundary(f"=_{message.id}")  # the library's own is random; this one gives the same bytes every time
    return mail


def address_of(sender: str) -> str:
    """Bare address of ``Name <address>``.

    Examples
    --------
    >>> address_of("Shop <hello@shop.example>")
    'hello@shop.example'
    """
    return parseaddr(sender)[1]
