"""The pages behind the links of our messages. They load nothing, and send the address of the page to no other site."""

from __future__ import annotations

from html import escape

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}

_CHANNELS = {"email": "e-mail", "sms": "text messages"}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem}}
button{{font:inherit;padding:.6rem 1.2rem}}</style></head>
<body><main><h1>{title}</h1>{body}</main></body></html>
"""


def confirm(action: str, channel: str) -> str:
    """Return the page that asks before consent is withdrawn.

    It is needed because programs that scan mail follow every link, and must not unsubscribe the recipient.

    Parameters
    ----------
    action
        Address with the token, to which the button posts.
    channel
        Channel of the consent.
    """
    body = (
        f"<p>No more marketing by {_name(channel)}?</p>"
        f'<form method="post" action="{escape(action, quote=True)}"><button>Unsubscribe</button></form>'
    )
    return _PAGE.format(title="Unsubscribe", body=body)


def done(channel: str) -> str:
    """Return the page that confirms the withdrawal."""
    body = f"<p>You will get no more marketing by {_name(channel)} from us.</p>"
    return _PAGE.format(title="You are unsubscribed", body=body)


def ask_to_confirm(action: str, channel: str) -> str:
    """Return the page that asks before a consent is confirmed; its button posts to ``action``."""
    body = (
        f"<p>Do you want to get messages by {_name(channel)} from us?</p>"
        f'<form method="post" action="{escape(action, quote=True)}"><button>Yes, I do</button></form>'
        "<p>If you did not ask for this, close this page. Then nothing happens.</p>"
    )
    return _PAGE.format(title="Please confirm", body=body)


def confirmed(channel: str) -> str:
    """Return the page after a consent was confirmed. The fold decides later whether the link counts."""
    body = (
        "<p>We have got your confirmation. If this link is still valid, you will get messages by "
        f"{_name(channel)} from us. Each has a link that ends this.</p>"
        "<p>The link is not valid any more if it was used before, if you have changed your address, or if you have "
        "unsubscribed since. Then nothing changes.</p>"
    )
    return _PAGE.format(title="Thank you", body=body)


def failed(why: str) -> str:
    """Return the page that says why nothing was changed."""
    return _PAGE.format(title="That did not work", body=f"<p>{escape(why)}</p>")


def _name(channel: str) -> str:
    return escape(_CHANNELS.get(channel, channel))
