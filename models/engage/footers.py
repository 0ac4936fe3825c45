"""The end of marketing e-mails: the sender's postal address and the unsubscribe link, if the template has none."""

from __future__ import annotations

from markupsafe import Markup, escape

from models.configuration.templates import UNSUBSCRIBE_PLACEHOLDER


def ended_text(text: str, postal_address: str) -> str:
    r"""Return the plain part of a marketing e-mail with all that it must have at its end.

    Examples
    --------
    >>> ended_text("Hello\n", "Shop Ltd, 1 High Street, York")
    'Hello\n\n--\nShop Ltd, 1 High Street, York\nUnsubscribe: https://unsubscribe.invalid/perennial\n'
    """
    missing = [] if _has_all(text, postal_address.splitlines()) else [postal_address]
    if UNSUBSCRIBE_PLACEHOLDER not in text:
        missing.append(f"Unsubscribe: {UNSUBSCRIBE_PLACEHOLDER}")
    return text.rstrip() + "\n\n--\n" + "\n".join(missing) + "\n" if missing else text


def ended_html(html: str, postal_address: str) -> str:
    """Return the HTML part of a marketing e-mail with all that it must have at its end.

    Examples
    --------
    >>> ended_html("<body>Hello</body>", "Shop & Co").split("</p>")[0]
    '<body>Hello<p style="font-size:12px">Shop &amp; Co'
    """
    lines = [escape(line) for line in postal_address.splitlines()]
    missing = [] if _has_all(html, lines) else [Markup("<br>").join(lines)]
    if UNSUBSCRIBE_PLACEHOLDER not in html:
        missing.append(Markup('<a href="{}">Unsubscribe</a>').format(UNSUBSCRIBE_PLACEHOLDER))
    footer = "".join(f'<p style="font-size:12px">{part}</p>' for part in missing)
    at = html.lower().rfind("</body>")
    return html + footer if at < 0 else html[:at] + footer + html[at:]


def _has_all(body: str, lines: list[str] | list[Markup]) -> bool:
    return all(line in body for line in lines)
