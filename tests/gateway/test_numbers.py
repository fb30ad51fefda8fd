"""Telephone numbers as a country writes them, and the country of a zone."""

from __future__ import annotations

from collections.abc import Iterator

import phonenumbers
import pytest

from gateway import numbers
from gateway.numbers import as_begun, as_read, as_typed, country_of, example


@pytest.fixture
def without_table(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose zones come without their table."""
    monkeypatch.setattr(numbers, "TZPATH", ("/nowhere",))
    numbers._countries.cache_clear()
    yield
    numbers._countries.cache_clear()


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("Europe/London", "GB"), ("Europe/Berlin", "DE"), ("Europe/Dublin", "IE"), ("America/New_York", "US"),
        ("Asia/Tokyo", "JP"), ("UTC", "ZZ"), ("CET", "ZZ"), ("Nowhere/At_All", "ZZ"), ("", "GB"), (None, "GB"),
    ],
)  # fmt: skip
def test_the_country_of_a_zone(zone: str | None, country: str) -> None:
    assert country_of(zone) == country


@pytest.mark.parametrize(
    ("typed", "country", "number"),
    [("012345", "GB", None), ("0555123", "GB", None), ("+44 0555 123", "GB", None), ("7946 012", "GB", "+447946012"),
     ("01534 96000", "GB", "+44153496000"), ("06 1234 5678", "IT", "+390612345678"), ("030 123", "DE", "+4930123")],
)  # fmt: skip
def test_a_number_with_a_0_too_many_or_of_a_town_alone_is_none(typed: str, country: str, number: str | None) -> None:
    assert as_typed(typed, country) == number


def test_where_a_zone_tells_of_no_country_numbers_are_written_with_theirs() -> None:
    country = country_of("UTC")
    assert (as_typed("020 7946 0123", country), as_begun("020 7946", country)) == (None, None)
    assert as_typed("+44 20 7946 0123", country) == "+442079460123"
    assert as_read("+442079460123", country) == "+44 20 7946 0123"
    assert "with its country" in example(country)


@pytest.mark.usefixtures("without_table")
def test_without_the_table_the_countries_around_us_are_known() -> None:
    found = [country_of(zone) for zone in ("Europe/London", "Europe/Berlin", "Asia/Nicosia", "America/New_York")]
    assert found == ["GB", "DE", "CY", "ZZ"]


def test_what_is_known_without_the_table_is_what_stands_in_it() -> None:
    for one in numbers._SOME.split("|"):
        country, _, zone = one.partition(" ")
        assert country_of(zone) == country


@pytest.mark.parametrize(
    ("number", "country", "read"),
    [
        ("+442079460001", "GB", "020 7946 0001"),
        ("+442079460001", "DE", "+44 20 7946 0001"),
        ("+4930123456", "DE", "030 123456"),
        ("+4930123456", "GB", "+49 30 123456"),
        ("+441534960000", "GB", "01534 960000"),  # Jersey, dialled from the mainland as at home
        ("+390612345678", "IT", "06 1234 5678"),
        ("2001", "GB", "2001"),
        ("020 7946 0001", "GB", "020 7946 0001"),
        ("+441", "GB", "+441"),
        ("+4420", "GB", "+4420"),
        ("+999123456", "GB", "+999123456"),
        ("+44020794", "GB", "+44020794"),
        ("+4402079460001", "GB", "+4402079460001"),  # typed so it would be another number
        ("+44 20 7946 0001", "GB", "+44 20 7946 0001"),
        ("+", "GB", "+"),
        ("", "GB", ""),
        ("Reception", "GB", "Reception"),
    ],
)
def test_a_number_as_it_is_read(number: str, country: str, read: str) -> None:
    assert as_read(number, country) == read


def test_what_is_read_is_the_same_number_when_it_is_typed_there() -> None:
    """Of every country in the world, at home and abroad."""
    worded = 0
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE):
            given = phonenumbers.example_number_for_type(region, kind)
            if given is None:
                continue
            number = phonenumbers.format_number(given, phonenumbers.PhoneNumberFormat.E164)
            for country in (region, "GB", "DE", "US"):
                read = as_read(number, country)
                worded += read != number
                assert as_typed(read, country) == number, (number, country, read)
    assert worded > 1500


@pytest.mark.parametrize("typed", ["030 123456", "(030) 12 34 56", "+49 30 123456", "0049 30/123456", "030-123456"])
def test_a_number_typed_in_a_country_is_one_of_that_country(typed: str) -> None:
    assert as_typed(typed, "DE") == as_begun(typed, "DE") == "+4930123456"


def test_what_is_no_number_is_none() -> None:
    for typed in ("", "1", "030-CALL-ME", "Grace", "+49"):
        assert as_typed(typed, "DE") is None
        assert as_begun(typed, "DE") is None


def test_whoever_typed_none_is_shown_one_of_their_own() -> None:
    assert example("GB") == "020 7946 0123 or +442079460123"
    for country in ("DE", "FR", "US"):
        at_home, _, whole = example(country).partition(" or ")
        assert as_typed(at_home, country) == whole
