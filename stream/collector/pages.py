"""The pages behind the links of our messages. They load nothing, and send the address of the page to no other site.

They work without JavaScript and without cookies. They are in the reader's language, and each element has a label.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from html import escape

from aiohttp import web

from stream.collector.texts import PageTexts, tag_of, texts_in

STYLE = """
:root{color-scheme:light dark;--text:#1b1b1f;--back:#fff;--line:#767680;--act:#0b57d0;--on:#fff}
@media(prefers-color-scheme:dark){:root{--text:#e6e6ec;--back:#17181c;--line:#9a9aa5;--act:#a8c7fa;--on:#062e6f}}
*{box-sizing:border-box}
body{font:1.0625rem/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);margin:0}
main{max-width:34rem;margin:0 auto;padding:8vh 1.25rem 3rem}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 1rem}h2{font-size:1.2rem;margin:2.5rem 0 .5rem}
form{margin:.75rem 0}
button{font:inherit;width:100%;min-height:3rem;padding:.6rem 1.2rem;border-radius:.5rem;cursor:pointer;
border:1px solid var(--act);color:var(--act);background:transparent}
button.first{color:var(--on);background:var(--act);font-weight:600}
fieldset{border:1px solid var(--line);border-radius:.5rem;margin:0 0 1rem;padding:.25rem 1rem .5rem}
legend{font-weight:600;padding:0 .35rem}
label{display:flex;gap:.75rem;align-items:center;min-height:2.75rem}
input{width:1.35rem;height:1.35rem;flex:none;margin:0;accent-color:var(--act)}
small{display:block;margin:-.4rem 0 .5rem 2.1rem}
a{color:var(--act)}
:focus-visible{outline:3px solid var(--act);outline-offset:2px}
"""
_HASH = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")

HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language",
}

_PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><main><h1>{title}</h1>{body}</main></body></html>
"""


def page(language: str, title: str, body: str) -> str:
    """Return a whole page, with a title in plain text and a body in HTML."""
    return _PAGE.format(lang=tag_of(language), title=escape(title), style=STYLE, body=body)


def answer(html: str, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return the answer with a page."""
    return web.Response(text=html, status=status, headers=HEADERS | (headers or {}), content_type="text/html")


def button(action: str, label: str, *, first: bool = False) -> str:
    """Return a form that has one button and posts to an address. The most important button of a page is the first."""
    kind = ' class="first"' if first else ""
    return f'<form method="post" action="{escape(action, quote=True)}"><button{kind}>{escape(label)}</button></form>'


def paragraph(text: str) -> str:
    """Return a text as a paragraph."""
    return f"<p>{escape(text)}</p>"


def ask_to_confirm(language: str, action: str, channel: str) -> str:
    """Return the page that asks before a consent is confirmed; its button posts to ``action``."""
    texts = texts_in(language)
    body = (
        paragraph(texts.confirm_question.format(by=texts.way(channel)))
        + button(action, texts.confirm_yes, first=True)
        + paragraph(texts.confirm_help)
    )
    return page(language, texts.confirm, body)


def confirmed(language: str, channel: str) -> str:
    """Return the page after a consent was confirmed. The fold decides later whether the link counts."""
    texts = texts_in(language)
    body = paragraph(texts.confirmed_help.format(by=texts.way(channel))) + paragraph(texts.confirmed_unless)
    return page(language, texts.confirmed, body)


def stopped(language: str, text: str) -> str:
    """Return the page that confirms a withdrawal, with a text that says what has ended."""
    return page(language, texts_in(language).stopped, paragraph(text))


def failed(language: str, why: str) -> str:
    """Return the page that says why nothing was changed."""
    return page(language, texts_in(language).failed, paragraph(why))


def stopped_text(texts: PageTexts, channel: str = "", purpose: str = "") -> str:
    """Return the text that says what has ended: all marketing, that on a channel, or a purpose (by its name)."""
    if purpose:
        return texts.stopped_purpose.format(purpose=purpose, by=texts.way(channel))
    return texts.stopped_channel.format(by=texts.way(channel)) if channel else texts.stopped_all
