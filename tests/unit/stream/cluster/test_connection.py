"""Naming and client options of a connection."""

from __future__ import annotations

import ssl

import pytest

from stream.cluster.connection import Connection


def test_names_of_topics_and_groups_begin_with_the_prefix() -> None:
    connection = Connection("localhost:9092", prefix="shop.")
    assert connection.topic("events") == "shop.events"
    assert connection.group("fold") == "shop.fold"


def test_several_servers_are_split_at_commas() -> None:
    assert Connection("a:1, b:2").client_options()["bootstrap_servers"] == ["a:1", "b:2"]


def test_sasl_over_tls_gives_credentials_and_a_verifying_context() -> None:
    connection = Connection(
        "a:1", security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512", username="u", password="p"
    )
    options = connection.client_options()
    assert (options["sasl_mechanism"], options["sasl_plain_username"], options["sasl_plain_password"]) == (
        "SCRAM-SHA-512",
        "u",
        "p",
    )
    assert options["ssl_context"].verify_mode is ssl.CERT_REQUIRED


def test_sasl_without_credentials_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a SASL mechanism"):
        Connection("a:1", security_protocol="SASL_PLAINTEXT")


def test_the_password_is_not_shown() -> None:
    connection = Connection("a:1", security_protocol="SASL_SSL", sasl_mechanism="PLAIN", username="u", password="hush")
    assert "hush" not in repr(connection)


def test_a_member_sends_a_heartbeat_every_half_second_and_more_often_in_a_short_session() -> None:
    assert Connection("a:1", session_timeout_s=10).heartbeat_interval_s == 0.5
    assert Connection("a:1", session_timeout_s=1.5).heartbeat_interval_s == 0.25
