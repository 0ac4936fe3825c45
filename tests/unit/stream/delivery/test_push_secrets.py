"""The keys of the push services are read from the places that the settings name, or an error says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.delivery.configured import delivery_settings
from stream.delivery.push_secrets import service_account, vapid_key
from stream.delivery.requirements import unmet_secrets
from stream.settings.loading import Settings, load
from stream.settings.sources import InvalidSettings
from tests.support.fcm import EMAIL, FakeFcm, write_account
from tests.support.web_push import FakePushService

PUSH = """version: 1
delivery:
  push:
    fcm: {service_account: {file: account.json}}
    web: {private_key: {file: vapid.key}, contact: "mailto:push@shop.example"}
"""


def settings_in(folder: Path, text: str = PUSH) -> Settings:
    (folder / "perennial.yaml").write_text(text)
    return load(folder / "perennial.yaml", {}, {})


def test_the_keys_are_read_from_their_files(tmp_path: Path) -> None:
    key = FakePushService().key
    write_account(FakeFcm(), tmp_path / "account.json")
    (tmp_path / "vapid.key").write_text(key.private_text + "\n")

    settings = settings_in(tmp_path)
    keys = delivery_settings(settings).push

    assert list(unmet_secrets(settings)) == []
    assert keys.account is not None
    assert keys.account.client_email == EMAIL
    assert keys.vapid is not None
    assert keys.vapid.public_text == key.public_text


def test_without_push_there_are_no_keys(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, "version: 1\n")

    assert (service_account(settings), vapid_key(settings)) == (None, None)
    assert list(unmet_secrets(settings)) == []


@pytest.mark.parametrize(
    ("account", "says"),
    [
        ("{}", "missing required field"),
        ("not json", "a file with an error: JSON is malformed"),
        (
            '{"project_id": "p", "client_email": "e", "private_key_id": "k", "private_key": "-----BEGIN"}',
            "is not an RSA key",
        ),
    ],
)
def test_a_file_that_is_no_service_account_is_a_finding_and_is_left_out(
    tmp_path: Path, account: str, says: str
) -> None:
    (tmp_path / "account.json").write_text(account)
    (tmp_path / "vapid.key").write_text(FakePushService().key.private_text)

    settings = settings_in(tmp_path)

    (found,) = unmet_secrets(settings)
    assert (found.name, found.channel) == ("secrets.fcm", "push")
    assert "perennial.yaml:4: delivery.push.fcm.service_account" in found.says
    assert says in found.says
    assert "allowed: the JSON file of a service account" in found.says
    assert delivery_settings(settings).push.account is None
    assert delivery_settings(settings).push.vapid is not None


def test_a_key_of_another_kind_is_a_finding_that_names_the_command(tmp_path: Path) -> None:
    write_account(FakeFcm(), tmp_path / "account.json")
    (tmp_path / "vapid.key").write_text("secret words")

    with pytest.raises(InvalidSettings, match="perennial push keys") as refused:
        vapid_key(settings_in(tmp_path))

    assert "secret words" not in str(refused.value)


@pytest.mark.parametrize(
    ("push", "says"),
    [
        ("{}", "fcm, web, or both"),
        ('{web: {private_key: {env: K}, contact: "push@shop.example"}}', "mailto:NAME@HOST"),
        ('{web: {private_key: {env: K}, contact: "https://shop.example", hosts: ["https://a"]}}', "a host such as"),
        ('{fcm: {service_account: {env: K}}, link: "http://shop.example"}', "https://"),
    ],
)
def test_a_mistake_in_the_section_is_refused_with_what_is_allowed(tmp_path: Path, push: str, says: str) -> None:
    with pytest.raises(InvalidSettings, match=says):
        settings_in(tmp_path, f"version: 1\ndelivery: {{push: {push}}}\n")


def test_an_element_of_any_list_is_described(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"allowed_origins\[1\].*the scheme, host and port of a page"):
        settings_in(tmp_path, "version: 1\nhttp: {allowed_origins: ['*', 'shop.example']}\n")


def test_a_service_account_never_shows_its_key() -> None:
    account = FakeFcm(url="https://fcm.example").account

    assert "PRIVATE" in account.private_key
    assert "PRIVATE" not in repr(account)
