"""From the settings file to what the door needs: keys and tokens are read here, when the door starts."""

from __future__ import annotations

from stream.collector.user_tokens import MIN_SECRET_BYTES, UserTokens
from stream.collector.write_keys import WriteKey, WriteKeys
from stream.delivery.unsubscribe import secret_of
from stream.settings.loading import Settings
from stream.settings.sources import InvalidSettings

USER_TOKEN_FILE = "user_tokens.secret"  # noqa: S105 - a file's name
"""In the data folder: made at first use where the settings name no secret."""
MIN_SERVER_TOKEN_BYTES = 16


def write_keys(settings: Settings) -> WriteKeys:
    """Read the write keys of an installation.

    Raises
    ------
    InvalidSettings
        A key is not where it should be.
    """
    return WriteKeys(
        WriteKey(
            (key.value or settings.reveal(key, f"http.write_keys[{i}]")).encode(),
            "public" if key.kind == "browser" else "server",
        )
        for i, key in enumerate(settings.sections.http.write_keys)
    )


def user_tokens(settings: Settings) -> UserTokens:
    """Read the secrets of user tokens; without any in the settings, the data folder has one.

    Raises
    ------
    InvalidSettings
        A secret is not where it should be, or is too short.
    """
    named = settings.sections.http.user_token_secrets
    if not named:
        return UserTokens([secret_of(settings.folder / USER_TOKEN_FILE)])
    paths = [f"http.user_token_secrets[{i}]" for i in range(len(named))]
    secrets = [settings.reveal(secret, path).encode() for secret, path in zip(named, paths, strict=True)]
    for secret, path in zip(secrets, paths, strict=True):
        _check_length(settings, path, secret, MIN_SECRET_BYTES)
    return UserTokens(secrets)


def server_tokens(settings: Settings) -> list[bytes]:
    """Read the tokens of servers.

    Raises
    ------
    InvalidSettings
        A token is not where it should be, or is too short.
    """
    found = []
    for i, token in enumerate(settings.sections.http.server_tokens):
        path = f"http.server_tokens[{i}]"
        found.append(settings.reveal(token, path).encode())
        _check_length(settings, path, found[-1], MIN_SERVER_TOKEN_BYTES)
    return found


def _check_length(settings: Settings, path: str, secret: bytes, least: int) -> None:
    if len(secret) < least:
        raise InvalidSettings(
            settings.given.origin(path), path, f"a secret of {len(secret)} bytes", f"at least {least} bytes"
        )
