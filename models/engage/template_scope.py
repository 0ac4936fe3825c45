"""Names in the templates of journeys that no run and no journey has: ``entry.x`` and ``mark.x``."""

from __future__ import annotations

from collections.abc import Iterator

from models.configuration.compiled import Configuration
from models.configuration.journeys.definition import SendStep
from models.configuration.journeys.versions import places_of
from models.configuration.marks import set_by
from models.configuration.templates import TemplateError, file_of, members_of
from models.spelling import did_you_mean


def names_out_of_scope(configuration: Configuration) -> Iterator[TemplateError]:
    """Yield the places where the template of a step names a property that its run does not keep, or an unset mark.

    Such a name would always be empty.

    Parameters
    ----------
    configuration
        The configuration, with its templates.
    """
    marks = set_by(configuration.journeys)
    for journey in configuration.journeys:
        kept = journey.enter.kept
        steps = [step for _, step in places_of(journey.steps) if isinstance(step, SendStep)]
        for name in dict.fromkeys(step.template for step in steps):
            template = configuration.templates[name]
            for one in members_of(template, "entry"):
                if one.member not in kept:
                    says = (
                        f"runs of the journey {journey.name} keep no property {one.member!r}"
                        f"{did_you_mean(one.member, kept)}; kept: {', '.join(kept) or 'none'}"
                    )
                    yield TemplateError(says, one.line, file_of(name, one.part))
            for one in members_of(template, "mark"):
                if one.member not in marks:
                    says = (
                        f"no journey sets the mark {one.member!r}{did_you_mean(one.member, marks)}; "
                        f"marks: {', '.join(sorted(marks)) or 'none'}"
                    )
                    yield TemplateError(says, one.line, file_of(name, one.part))
