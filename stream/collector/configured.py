"""Keys, tokens and secrets of the door, read from the settings when the door starts."""

from __future__ import annotations

from stream.collector.user_tokens import MIN_SECRET_BYTES, UserTokens
from stream.collector.write_keys import WriteKey, WriteKeys
from stream.delivery.unsubscribe import secret_of
from stream.settings.loading import Settings
from stream.settings.sources import InvalidSettings

USER_TOKEN_FILE = "user_tokens.secret"  # noqa: S105 - a file's name
"""Name of the file in the data folder with the generated secret. It is used if the settings name no secret."""
MIN_SERVER_TOKEN_BYTES = 16
"""Minimum length of a server token, bytes."""


def write_keys(settings: Settings) -> WriteKeys:
    """Read the write keys of an installation.

    Raises
    ------
    InvalidSettings
        A key cannot be found where the settings say.
    """
    return WriteKeys(
        WriteKey(
            (key.value or settings.reveal(key, f"http.write_keys[{i}]")).encode(),
            "public" if key.kind == "browser" else "server",
        )
        for i, key in enumerate(settings.sections.http.write_keys)
    )


def user_tokens(settings: Settings) -> UserTokens:
    """Read the secrets of user tokens. If the settings name none, one is generated in the data folder.

    Raises
    ------
    InvalidSettings
        A secret cannot be found where the settings say, or is too short.
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
    """Read the server tokens.

    Raises
    ------
    InvalidSettings
        A token cannot be found where the settings say, or is too short.
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
