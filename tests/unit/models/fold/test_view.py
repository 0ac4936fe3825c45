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


def test_the_shown_reasons_are_those_of_the_time_of_the_shown_risk() -> None:
    versions = Versions()
    use = churn_version(1)
    versions.use(use.name, use.version, bytes(use.content))

    shown = describe("u1", scored(START + 10 * DAY), START + 14 * DAY, versions)

    assert shown["churn"]["as_of"] == "2026-01-11T00:00:00Z"
    assert [reason for reason in shown["churn"]["reasons"] if "10" in reason] == shown["churn"]["reasons"] != []
    now = describe("u1", scored(0), START + 14 * DAY, versions)
    assert [reason for reason in now["churn"]["reasons"] if "14" in reason] == now["churn"]["reasons"] != []
    assert shown["features"] == now["features"]


def test_a_user_without_any_activity_has_no_reasons_and_no_features() -> None:
    shown = describe("u1", Customer(), START, Versions())

    assert (shown["churn"]["reasons"], shown["features"]) == ([], None)
