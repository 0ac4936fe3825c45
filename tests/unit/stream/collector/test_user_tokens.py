from __future__ import annotations

from typing import Any

import jwt
import pytest

from stream.collector.user_tokens import InvalidUserToken, UserTokens

NOW = 1_777_636_800_250
NOW_S = NOW // 1000
OLD, NEW, OTHER = (letter * 32 for letter in (b"o", b"n", b"x"))
CLAIMS = {"sub": "ada", "aud": "perennial", "iat": NOW_S, "exp": NOW_S + 3600}


def made(secret: bytes = NEW, algorithm: str = "HS256", **claims: Any) -> str:
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return jwt.encode(said, secret, algorithm)


@pytest.mark.parametrize("user", ["ada", "anonymous:3f2a", "a/b c%2F", "ü😀", "0"])
def test_a_signed_token_names_its_user(user: str) -> None:
    tokens = UserTokens([NEW])

    assert tokens.user(tokens.sign(user, NOW, 60), NOW) == user


def test_the_first_secret_signs_and_all_verify() -> None:
    both = UserTokens([NEW, OLD])

    assert both.user(UserTokens([OLD]).sign("ada", NOW, 60), NOW) == "ada"
    assert UserTokens([NEW]).user(both.sign("ada", NOW, 60), NOW) == "ada"
    with pytest.raises(InvalidUserToken, match="not signed with a secret"):
        both.user(made(OTHER), NOW)
    with pytest.raises(InvalidUserToken, match="no secret"):
        UserTokens([]).user(made(), NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"exp": NOW_S + 24 * 3600},
        {"iat": NOW_S - 3600, "exp": NOW_S + 60},
        {"iat": NOW_S + 30},  # the shop's clock is half a minute ahead
        {"exp": NOW_S - 30, "iat": NOW_S - 600},
        {"aud": ["perennial", "other"]},
        {"iat": NOW_S - 0.5, "exp": NOW_S + 10.5},
        {"nbf": NOW_S - 5},
        {"role": "admin"},
    ],
)
def test_a_token_within_its_day_is_valid(claims: dict[str, Any]) -> None:
    assert UserTokens([NEW]).user(made(**claims), NOW) == "ada"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW_S - 61, "iat": NOW_S - 600},
        {"exp": NOW_S + 24 * 3600 + 61},
        {"iat": NOW_S - 20 * 3600, "exp": NOW_S + 20 * 3600},
        {"iat": NOW_S + 61},
        {"nbf": NOW_S + 61},
        {"aud": "other"},
        {"aud": None},
        {"sub": None},
        {"iat": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"iat": "now"},
        {"exp": -5},
        {"exp": 1e300},
    ],
)
def test_any_other_claims_of_a_token_grant_nothing(claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidUserToken):
        UserTokens([NEW]).user(made(**claims), NOW)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", made() + "x", made()[:-4], "é.ü.ö", "\ud800", "x" * 100_000])
def test_a_text_that_is_not_a_token_grants_nothing(token: str) -> None:
    with pytest.raises(InvalidUserToken):
        UserTokens([NEW]).user(token, NOW)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_no_other_algorithm_is_accepted(algorithm: str) -> None:
    with pytest.raises(InvalidUserToken):
        UserTokens([NEW * 2]).user(made(NEW * 2, algorithm), NOW)


def test_a_token_without_a_signature_grants_nothing() -> None:
    with pytest.raises(InvalidUserToken):
        UserTokens([NEW]).user(jwt.encode(CLAIMS, "", "none"), NOW)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        UserTokens([b"x" * 31])
