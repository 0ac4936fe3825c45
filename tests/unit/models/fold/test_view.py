from __future__ import annotations

from models.fold.versions import Versions
from models.fold.view import describe
from models.profile.state import Customer
from models.units import DAY
from tests.support.configured_versions import churn_version
from tests.support.event_logs import START


def scored(risk_at: int) -> Customer:
    customer = Customer()
    customer.facts.sessions = 1
    customer.facts.first_seen = customer.facts.last_seen = START
    customer.ledger.risk, customer.ledger.risk_at = 0.7, risk_at
    return customer


def test_reasons_are_those_of_the_moment_of_the_risk_beside_them() -> None:
    versions = Versions()
    use = churn_version(1)
    versions.use(use.name, use.version, bytes(use.content))

    shown = describe("u1", scored(START + 10 * DAY), START + 14 * DAY, versions)

    assert shown["churn"]["as_of"] == "2026-01-11T00:00:00Z"
    assert [reason for reason in shown["churn"]["reasons"] if "10" in reason] == shown["churn"]["reasons"] != []
    now = describe("u1", scored(0), START + 14 * DAY, versions)
    assert [reason for reason in now["churn"]["reasons"] if "14" in reason] == now["churn"]["reasons"] != []
    assert shown["features"] == now["features"]


def test_nobody_of_whom_nothing_is_known_has_reasons() -> None:
    shown = describe("u1", Customer(), START, Versions())

    assert (shown["churn"]["reasons"], shown["features"]) == ([], None)
