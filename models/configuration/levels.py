"""The fields and values that a configuration may have at each format level of the log (:mod:`models.levels`).

Code of a lower level ignores a field that it does not know, and refuses a value that it does not know. So a
configuration with a newer field or value has to wait until the log has the level that came with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from models.configuration.compiled import Configuration
from models.errors import InvalidConfiguration
from models.events import FIRST_CHANNELS, MARKETING


class Addition(NamedTuple):
    """A part of the compiled configuration that an earlier level does not have.

    Attributes
    ----------
    level
        First level that has it.
    names
        Its names: ``Struct.field``, or ``Struct.field=value`` for a new value of a field that existed before.
    find
        Return the path and the value of each use in a configuration.
    """

    level: int
    names: frozenset[str]
    find: Callable[[Configuration], Iterator[tuple[str, object]]]


_CONDITIONS = """
AbsentClause: is is=absent event duration where gaps
AllOf: is is=all of
AnyOf: is is=any of
Bounds: at_least more_than at_most less_than
BucketClause: is is=bucket salt below
Configuration: segments lifecycle
EventClause: is is=event event measure window where
EventWindow: kind kind=rolling kind=calendar kind=since kind=entry kind=ever
EventWindow: length unit unit=day unit=week unit=month since gaps
GapLength: tenths of of=median of=p75 of=p90
Lifecycle: stages moves
LifecycleMove: origin target when
Measure: kind kind=times kind=sum kind=average kind=largest kind=smallest kind=distinct kind=last kind=first
Measure: bounds of currency is_net each
NoneOf: is is=none of
SegmentClause: is is=segment name duration
SegmentRule: name when enters
SequenceClause: is is=sequence steps within without
SequenceStep: event where name at_most_after
ValueClause: is is=value name comparison until_below comes_within passed_since anniversary is_local
ValueClause: subject subject=trait subject=feature subject=score subject=lifecycle subject=consent subject=mark
ValueComparison: among at_least more_than at_most less_than starts_with contains is_set same_as currency
"""

_CONSENT = """
ConsentSettings: confirm confirm=email confirm=sms confirm=push existing_customer purposes
ExistingCustomers: bought_within countries
Rule: purpose
"""

_MESSAGES = """
Configuration: postal_address
"""

_JOURNEYS = """
Arm: name steps weight
BranchStep: cases do do=branch id
CallStep: at_most body do do=call exits_failed id save webhook
BranchCase: condition steps
Configuration: journeys
Entry: again again=after again=always again=never again=once_left again_after condition keep key on restarts
Entry: takes_existing
EventMatch: event where
EventTrigger: match on on=event
Exit: after name on when
ExperimentStep: arms do do=experiment experiment id
Goal: is_of_sent is_repeated on value within
Journey: category category=marketing category=transactional enter exits goal holdout moved_to name purpose steps
LocalTime: days minute zone
RepeatStep: do do=repeat every id steps times until
ScheduleTrigger: at on on=schedule segment
SegmentTrigger: on on=segment segment
SendStep: best_within channels channels=email channels=sms channels=push do do=send exits_capped
SendStep: exits_dropped expires_after id
SendStep: retry_capped template
SetStep: do do=set marks
SignalTrigger: after crosses on on=signal signal signal=cart_left signal=churn_risk signal=first_purchase
StageTrigger: on on=stage stage
WaitForStep: at_most do do=wait_for id is_since_entry on otherwise then
WaitStep: do do=wait duration id
WaitUntilStep: at do do=wait_until id
"""

_CAMPAIGNS = """
Campaign: approval_above at audience category category=marketing category=transactional channels channels=email
Campaign: channels=sms channels=push checked checked=at_send checked=at_start checked=at_start_and_at_send
Campaign: expires_after goal holdout
Campaign: name pace purpose template
CampaignTime: if_past if_past=drop if_past=next_day if_past=now is_local time
Configuration: campaigns
CampaignPace: first over then_wait
"""


def _names(text: str) -> frozenset[str]:
    """Return the names of a table with lines such as ``Struct: field other field=value``."""
    found: set[str] = set()
    for line in text.strip().splitlines():
        struct, _, fields = line.partition(":")
        found |= {f"{struct}.{field}" for field in fields.split()}
    return frozenset(found)


def _find_conditions(configuration: Configuration) -> Iterator[tuple[str, object]]:
    for i, segment in enumerate(configuration.segments):
        yield f"segments[{i}]", segment.name
    if configuration.lifecycle is not None:
        yield "lifecycle", "stages"


def _find_journeys(configuration: Configuration) -> Iterator[tuple[str, object]]:
    for i, journey in enumerate(configuration.journeys):
        yield f"journeys[{i}]", journey.name


def _find_campaigns(configuration: Configuration) -> Iterator[tuple[str, object]]:
    for i, campaign in enumerate(configuration.campaigns):
        yield f"campaigns[{i}]", campaign.name


def _find_operators(configuration: Configuration) -> Iterator[tuple[str, object]]:
    for i, rule in enumerate(configuration.rules):
        for name, _ in rule.when.conditions:
            yield f"rules[{i}].when.where.{name}", "operators"


def _find_stages(configuration: Configuration) -> Iterator[tuple[str, object]]:
    for i, rule in enumerate(configuration.rules):
        if rule.when.kind == "entered_stage":
            yield f"rules[{i}].when.entered_stage", rule.when.name


_IDENTITY = ("identity_notice", "identity_merge")


def _find_identity(configuration: Configuration) -> Iterator[tuple[str, object]]:
    for i, kind in enumerate(configuration.churn.activity):
        if kind in _IDENTITY:
            yield f"churn.activity[{i}]", kind


def _find_caps(configuration: Configuration) -> Iterator[tuple[str, object]]:
    for i, cap in enumerate(configuration.caps):
        if cap.journey:
            yield f"caps[{i}].journey", cap.journey
        elif cap.category != "marketing":
            yield f"caps[{i}].category", cap.category


def _find_purposes(configuration: Configuration) -> Iterator[tuple[str, object]]:
    if configuration.consent.purposes:
        yield "consent.purposes", list(configuration.consent.purposes)
    if configuration.consent.confirm:
        yield "consent.confirm", list(configuration.consent.confirm)
    if configuration.consent.existing_customer is not None:
        yield "consent.existing_customer", list(configuration.consent.existing_customer.countries)
    for i, rule in enumerate(configuration.rules):
        if rule.purpose != MARKETING:
            yield f"rules[{i}].purpose", rule.purpose


def _find_messages(configuration: Configuration) -> Iterator[tuple[str, object]]:
    if configuration.postal_address:
        yield "sender.postal_address", configuration.postal_address


def _find_channels(configuration: Configuration) -> Iterator[tuple[str, object]]:
    for i, rule in enumerate(configuration.rules):
        if not set(rule.channels) <= set(FIRST_CHANNELS):
            yield f"rules[{i}].channels", list(rule.channels)
    for i, cap in enumerate(configuration.caps):
        if cap.channel is not None and cap.channel not in FIRST_CHANNELS:
            yield f"caps[{i}].channel", cap.channel
    for name, channel in configuration.consent.events.items():
        if channel is not None and channel not in FIRST_CHANNELS:
            yield f"consent.withdrawal_events.{name}", channel
    for name, trait in configuration.consent.traits.items():
        if trait.channel is not None and trait.channel not in FIRST_CHANNELS:
            yield f"consent.withdrawal_traits.{name}.channel", trait.channel
    for name, template in configuration.templates.items():
        if template.push is not None:
            yield f"templates.{name}.push", template.push


_CHANNELS = """
Cap: channel=push
ConsentSettings: events=push
Rule: channels=push
Template: push
"""

ADDITIONS: tuple[Addition, ...] = (
    Addition(2, frozenset(f"ChurnSettings.activity={kind}" for kind in _IDENTITY), _find_identity),
    Addition(2, _names(_CONDITIONS), _find_conditions),
    Addition(2, _names(_JOURNEYS), _find_journeys),
    Addition(2, _names(_CAMPAIGNS), _find_campaigns),
    Addition(2, _names("Cap: category category=marketing category=transactional journey"), _find_caps),
    Addition(2, frozenset({"Trigger.conditions"}), _find_operators),
    Addition(2, _names(_CONSENT), _find_purposes),
    Addition(2, _names(_MESSAGES), _find_messages),
    Addition(2, _names(_CHANNELS), _find_channels),
    Addition(2, frozenset({"Trigger.kind=entered_stage"}), _find_stages),
)
"""All additions to the configuration of level 1. ``test_levels.py`` finds a field or value that is missing here."""


def require_expressible(configuration: Configuration, level: int, additions: Sequence[Addition] = ADDITIONS) -> None:
    """Check that the level of a log can express a configuration.

    Parameters
    ----------
    configuration
        The configuration to apply.
    level
        Format level in use.
    additions
        Additions of the levels.

    Raises
    ------
    InvalidConfiguration
        It has something that only a higher level can express.
    """
    for addition in additions:
        if addition.level > level:
            for path, found in addition.find(configuration):
                raise InvalidConfiguration(
                    path,
                    found,
                    f"what format level {level} of this log can express; this needs level {addition.level}, which "
                    "`perennial upgrade finish` puts into use once all workers run the new release",
                )
