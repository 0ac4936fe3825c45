"""Endpoints of webhooks with their keys, as the settings name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.delivery.configured import delivery_settings
from stream.delivery.requirements import unmet_secrets
from stream.delivery.webhook_secrets import webhook_endpoints
from stream.settings.loading import Settings, load
from stream.settings.sources import InvalidSettings
from tests.support.webhooks import SECRET


def settings(folder: Path, url: str, more: str = "") -> Settings:
    """Load settings with one endpoint."""
    file = folder / "perennial.yaml"
    file.write_text(f"""
version: 1
delivery:
  webhooks:
    crm: {{url: "{url}", secrets: [{{env: CRM_SECRET}}]}}
{more}
""")
    return load(file)


def test_the_keys_of_an_endpoint_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_SECRET", SECRET)

    found = webhook_endpoints(settings(tmp_path, "https://crm.example/hooks"))

    assert {name: (one.url, one.keys) for name, one in found.items()} == {
        "crm": ("https://crm.example/hooks", (b"k" * 32,))
    }


@pytest.mark.parametrize(
    ("url", "secret", "says"),
    [
        ("https://crm.example/", "", "the environment variable CRM_SECRET, not empty"),
        ("https://crm.example/", "whsec_c2hvcnQ=", "it has 5 bytes, and needs 24 to 64"),
        ("https://10.0.0.1/", SECRET, "10.0.0.1 is no public address, and 10.0.0.1:443 is not in outbound.allow"),
        ("http://crm.example/", SECRET, "the URL must begin with https://"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_found_and_never_shows_its_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, secret: str, says: str
) -> None:
    monkeypatch.setenv("CRM_SECRET", secret)
    wrong = settings(tmp_path, url)

    with pytest.raises(InvalidSettings) as caught:
        webhook_endpoints(wrong)

    assert says in str(caught.value)
    assert not secret or secret not in str(caught.value)
    assert [(one.name, one.channel) for one in unmet_secrets(wrong)] == [("secrets.webhooks", "webhook")]
    assert delivery_settings(wrong).webhooks == {}


def test_a_private_address_is_used_if_the_settings_allow_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_SECRET", SECRET)
    allowed = settings(tmp_path, "http://10.0.0.1:8080/", 'outbound: {allow: ["http://10.0.0.1:8080"]}')

    assert delivery_settings(allowed).webhooks.keys() == {"crm"}
