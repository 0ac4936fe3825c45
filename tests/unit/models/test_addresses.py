"""A text is read as exactly one address, or it is refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.addresses import country_of, e164, is_bad_phone, mailbox, trimmed


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("ada@faß.de", "ada@xn--fa-hia.de"),
        ("ada@straße.example", "ada@xn--strae-oqa.example"),
        ("ada@STRAẞE.example", "ada@xn--strae-oqa.example"),
        ("ada@strasse.example", "ada@strasse.example"),
        ("ada@οδός.gr", "ada@xn--pxavk3b.gr"),
        ("ada@ΟΔΌΣ.gr", "ada@xn--pxavn9a.gr"),  # upper case has no final sigma (UTS 46)
        ("ada@\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.com", "ada@xn--mgba3gch31f060k.com"),
        ("ada@क्\u200dष.com", "ada@xn--11b2ezcw70k.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        ("ada@l·l.cat", "ada@xn--ll-0ea.cat"),
    ],
)
def test_a_domain_is_encoded_by_idna_2008_so_its_owner_stays_the_same(written: str, address: str) -> None:
    assert mailbox(written) == address


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("Ada.Love+x@EXAMPLE.Org", "Ada.Love+x@example.org"),
        ("ada@example\uff0eorg", "ada@example.org"),
        ("ada@\uff45xample\u3002jp", "ada@example.jp"),
        ("ada@example.unlisted", "ada@example.unlisted"),
        ("ada@example.xn--p1ai", "ada@example.xn--p1ai"),
        ("ada@mailhost", "ada@mailhost"),
        ("ada@1und1.de", "ada@1und1.de"),
        (f"{'a' * 64}@example.org", f"{'a' * 64}@example.org"),
        (f"ada@{'a' * 63}.org", f"ada@{'a' * 63}.org"),
        ("\u00a0\u200b ada@example.org\ufeff\u2060\r\n", "ada@example.org"),
        ("\u202aada@example.org\u202c", "ada@example.org"),
    ],
)
def test_case_and_width_of_a_domain_and_blanks_around_an_address_are_ignored(written: str, address: str) -> None:
    assert mailbox(written) == address


@pytest.mark.parametrize(
    "written",
    [
        *("", "ada", "@example.org", "ada@", "a@b@c.example", "a b@example.org", "ada@exa mple.org"),
        *("Ada <ada@example.org>", "mailto:ada@example.org", "ada@example.org, eve@example.org", '"a b"@example.org'),
        *("a..b@example.org", ".a@example.org", "a.@example.org", "jürgen@example.org", f"{'a' * 65}@example.org"),
        *("ada@example.org.", "ada@exa..mple.org", "ada@.example.org", "ada@-a.example", "ada@a-.example"),
        *("ada@ex_ample.org", "ada@[192.0.2.1]", "ada@192.0.2.1", "ada@\uff11.\uff12", f"ada@{'a' * 64}.org"),
        *(f"ada@{'ä' * 60}.org", f"ada@{'a.' * 130}org", "ada@i\u2764.ws", "ada@\U0001f600.example"),
        *("ada@a\u200db.example", "ada@exa\u00admple.org", "ada@exa\u200bmple.org", "ada@a·b.example"),
        *("ada@example.org\r\nBcc: eve@example.org", "ada@example.org\0", "ada\u200b@example.org"),
    ],
)
def test_a_text_that_is_not_exactly_one_address_is_refused(written: str) -> None:
    assert mailbox(written) is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_either_an_address_in_ascii_or_refused(local: str, domain: str) -> None:
    address = mailbox(f"{local}@{domain}")

    if address is not None:
        assert address.isascii()
        assert address.rpartition("@")[0] == trimmed(f"{local}@{domain}").rpartition("@")[0]
        assert mailbox(address) == address


WRITTEN = st.from_regex(r"[a-zA-Z0-9.!+@-]{1,70}@[a-z0-9.-]{1,70}\.[a-z0-9-]{1,10}", fullmatch=True)


@given(WRITTEN)
def test_an_address_of_the_usual_form_is_read_like_any_other(written: str) -> None:
    assert mailbox(written) == mailbox(f" {written}")


@given(st.text(max_size=30))
def test_trimming_twice_is_trimming_once(written: str) -> None:
    assert trimmed(trimmed(written)) == trimmed(written)


@pytest.mark.parametrize(
    ("phone", "country", "is_bad"),
    [
        ("+49 30 901820", None, False),
        ("+49", None, True),
        ("+00 1", "DE", True),
        ("030 901820", None, False),
        ("030 901820", "DE", False),
        ("call me", None, False),
        ("call me", "DE", True),
        ("call me", "ZZ", False),
        ("1-800-FLOWERS", "US", False),
    ],
)
def test_a_phone_number_is_bad_only_if_its_country_is_known(phone: str, country: str | None, is_bad: bool) -> None:
    assert is_bad_phone(phone, country) == is_bad


def test_a_country_that_is_not_a_text_is_ignored() -> None:
    assert country_of({"address": ["DE"]}) is None
    assert country_of({"country": 49}) is None


def test_blanks_and_invisible_characters_are_removed_in_linear_time() -> None:
    around = "\u200b " * 100_000
    begin = time.process_time()

    assert trimmed(f"{around}ada@example.org{around}") == "ada@example.org"
    assert trimmed(around) == ""
    assert time.process_time() - begin < 0.2


@pytest.mark.parametrize(
    "written",
    ["+49 30 901820 / 901821", "+49 30 901820/21", "+49 30 901820 ext. 5", "+49 30 901820,5", "+1 212 555 0100 x12"],
)
def test_a_text_with_two_numbers_or_an_extension_is_not_a_number(written: str) -> None:
    assert e164(written, None) is None
    assert is_bad_phone(written, None)


@pytest.mark.parametrize("written", ["030/901820", "030 / 901820", "+49 30/901820", "+49 (0)30 / 901820"])
def test_a_stroke_may_follow_the_area_code(written: str) -> None:
    assert e164(written, "DE") == "+4930901820"


@pytest.mark.parametrize("country", ["DE", "de ", "DEU", "Germany", "germany"])
def test_a_national_number_is_read_by_its_country_in_any_spelling(country: str) -> None:
    assert e164("030 901820", country_of({"country": country})) == "+4930901820"


def test_the_country_of_the_postal_address_is_used_if_the_other_one_is_unknown() -> None:
    assert country_of({"country": "Atlantis", "address": {"country": "Portugal"}}) == "PT"
    assert country_of({"country": "Atlantis"}) is None


def test_a_territory_without_a_separate_time_zone_has_telephone_numbers() -> None:
    assert country_of({"country": "XK"}) == "XK"
