"""Check the template of what sends messages: of a rule, or of a step of a journey."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from models.configuration import templates as liquid
from models.configuration.categories import Category
from models.configuration.templates import Template
from models.errors import InvalidConfiguration
from models.events import Channel

_FALLBACK = (
    "a text to send if the template of this transactional rule fails; it may name only "
    f"{', '.join(liquid.FALLBACK_NAMES)}, such as: Subject: Your order / / Thank you, we have your order."
)


def require_template(
    templates: Mapping[str, Template], name: str, path: str, channels: Collection[Channel], category: Category
) -> None:
    """Check that a template exists, and that it fits channels and category.

    Raises
    ------
    InvalidConfiguration
        There is no such template, it has no subject for e-mail, or a transactional one has no fallback.
    """
    if name not in templates:
        known = ", ".join(sorted(templates)) or "none: there is no folder of that name with a text.liquid"
        raise InvalidConfiguration(path, name, f"a template beside the file ({known})")
    template, is_by_email = templates[name], "email" in channels
    if is_by_email and not template.subject.strip():
        raise InvalidConfiguration(f"templates.{name}.subject", "", "a subject, for a rule that sends e-mail")
    if category == "transactional":
        _require_fallback(name, template, is_by_email=is_by_email)


def _require_fallback(name: str, template: Template, *, is_by_email: bool) -> None:
    path = f"templates.{name}.fallback"
    if template.fallback is None or not template.fallback.strip():
        raise InvalidConfiguration(path, template.fallback, _FALLBACK)
    subject, text, _ = liquid.fallback_parts(template.fallback)
    if not text.strip():
        raise InvalidConfiguration(path, template.fallback, _FALLBACK)
    if is_by_email and not subject:
        found = template.fallback.splitlines()[0]
        raise InvalidConfiguration(path, found, "a first line `Subject: ...`, for a rule that sends e-mail")
