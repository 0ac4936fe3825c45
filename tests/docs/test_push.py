"""docs/push.md shows settings that are accepted, and names each setting and each error code."""

from __future__ import annotations

import re

import msgspec
import yaml

from models.delivery import bounces
from stream.settings.push_schema import FcmSection, PushSection, WebPushSection
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "push.md").read_text()


def test_the_example_is_accepted() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)

    section = msgspec.convert(yaml.safe_load(example)["delivery"]["push"], PushSection)

    assert section.fcm is not None
    assert section.web is not None


def test_each_setting_is_explained() -> None:
    fields = {*PushSection.__struct_fields__, *FcmSection.__struct_fields__, *WebPushSection.__struct_fields__}

    assert {name for name in fields if not re.search(rf"\b{name}\b", PAGE)} == {"base_url"}  # for tests alone


def test_each_answer_about_an_address_or_about_us_is_explained() -> None:
    table = PAGE.split("## What an answer means\n")[1]

    assert {code for code in bounces.FCM if f"`{code}`" not in table} == set()
    assert {status for status in bounces.WEB_PUSH if str(status) not in table} == set()
