"""Read the operators of values and properties."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from models.conditions.amounts import micros_of
from models.conditions.clauses import Scalar, Subject, ValueClause, ValueComparison, Where
from models.conditions.properties import LINE, LINE_NAMES, MONEY
from models.conditions.schema import Operators
from models.durations import milliseconds
from models.errors import InvalidConfiguration

_BOUNDS = ("at_least", "more_than", "at_most", "less_than")
_NAMES = ("is", "in", *_BOUNDS, "starts_with", "contains", "set")
_TIMES = ("comes_within", "passed_since", "anniversary")


def among(values: tuple[Scalar, ...]) -> ValueComparison:
    """Return the comparison with a set of allowed values."""
    return ValueComparison(among=values)


def share(text: str) -> int:
    """Return a percentage as a share of 2^64.

    Examples
    --------
    >>> share("50%") == 2**63
    True
    """
    return int(Decimal(text.removesuffix("%")) * 2**64 / 100)


def comparison(form: Any, path: str) -> ValueComparison:
    """Read operators; ``form`` is any written form that has them."""
    if form.equal is not None and form.among is not None:
        raise InvalidConfiguration(path, "is and in", "one of is, in")
    allowed = (form.equal,) if form.equal is not None else tuple(dict.fromkeys(form.among or ()))
    if form.among:
        allowed = _distinct(form.among)
    found = ValueComparison(
        among=allowed,
        at_least=form.at_least,
        more_than=form.more_than,
        at_most=form.at_most,
        less_than=form.less_than,
        starts_with=form.starts_with,
        contains=form.contains,
        is_set=bool(form.is_set),
        same_as=getattr(form, "same_as", None),
        currency=getattr(form, "currency", None),
    )
    if found == ValueComparison() or found == ValueComparison(currency=found.currency):
        raise InvalidConfiguration(path, "no operator", f"at least one of {', '.join(_NAMES)}")
    return found


def where(written: dict[str, Scalar | list[Scalar] | Operators] | None, path: str, *, can_refer: bool = False) -> Where:
    """Read what the properties of an event must be."""
    found: list[tuple[str, ValueComparison]] = []
    for name in sorted(written or {}):
        assert written is not None
        value, place = written[name], f"{path}.{name}"
        if name.startswith(LINE) and name.removeprefix(LINE) not in LINE_NAMES:
            raise InvalidConfiguration(place, name, f"one of {', '.join(LINE + one for one in LINE_NAMES)}")
        if isinstance(value, Operators):
            compared = comparison(value, place)
        elif isinstance(value, list):
            if not value:
                raise InvalidConfiguration(place, value, "a list with something in it")
            compared = among(_distinct(value))
        else:
            compared = among((value,))
        if compared.same_as is not None and not can_refer:
            raise InvalidConfiguration(f"{place}.same_as", compared.same_as, "nothing: only steps of a sequence refer")
        found.append((name, _with_money(name, compared, place)))
    return tuple(found)


def _distinct(values: list[Scalar]) -> tuple[Scalar, ...]:
    """Return the values without repetitions; a flag is not a number."""
    return tuple({(isinstance(value, bool), value): value for value in values}.values())


def _with_money(name: str, compared: ValueComparison, path: str) -> ValueComparison:
    has_number = any(getattr(compared, bound) is not None for bound in _BOUNDS) or any(
        isinstance(value, int | float) for value in compared.among
    )
    if name not in MONEY:
        if compared.currency is not None:
            raise InvalidConfiguration(f"{path}.currency", compared.currency, f"nothing: {name} is no amount of money")
        return compared
    if has_number and compared.currency is None:
        raise InvalidConfiguration(f"{path}.currency", None, f"the currency of {name}, such as EUR")
    for bound in _BOUNDS:
        value = getattr(compared, bound)
        if value is not None and micros_of(value) is None:
            raise InvalidConfiguration(f"{path}.{bound}", value, "a number of at most 12 digits before the point")
    return compared


def value_clause(subject: Subject, name: str, form: Any, path: str) -> ValueClause:
    """Read a condition on a value of the user."""
    times = [operator for operator in _TIMES if getattr(form, operator) is not None]
    if times and subject != "trait":
        raise InvalidConfiguration(f"{path}.{times[0]}", getattr(form, times[0]), f"nothing: a {subject} is not a time")
    if len(times) > 1:
        raise InvalidConfiguration(path, times, f"one of {', '.join(_TIMES)}")
    plain = [name for name in ("equal", "among", *_BOUNDS, "starts_with", "contains", "is_set") if _given(form, name)]
    if times and plain:
        raise InvalidConfiguration(path, "a time and another operator", f"{times[0]} alone")
    if form.zone is not None and not times:
        raise InvalidConfiguration(f"{path}.zone", form.zone, f"nothing without one of {', '.join(_TIMES)}")
    _check_hysteresis(subject, form, path)
    anniversary = form.anniversary
    return ValueClause(
        subject,
        name,
        None if times else comparison(form, path),
        form.until_below,
        milliseconds(form.comes_within) if form.comes_within else None,
        milliseconds(form.passed_since) if form.passed_since else None,
        None if anniversary is None else -1 if anniversary == "day" else milliseconds(anniversary),
        form.zone is not None,
    )


def _given(form: Any, name: str) -> bool:
    return getattr(form, name) is not None


def _check_hysteresis(subject: str, form: Any, path: str) -> None:
    below = form.until_below
    if below is None:
        return
    if subject not in ("score", "feature"):
        raise InvalidConfiguration(f"{path}.until_below", below, "nothing: only for scores and features")
    if form.at_least is None or any(
        _given(form, name) for name in ("equal", "among", "more_than", "at_most", "less_than")
    ):
        raise InvalidConfiguration(f"{path}.until_below", below, "until_below beside at_least alone")
    if below > form.at_least:
        raise InvalidConfiguration(f"{path}.until_below", below, f"at most {form.at_least}")
