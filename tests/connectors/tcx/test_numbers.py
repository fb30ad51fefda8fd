"""Direct numbers and names, as 3CX keeps them."""

from __future__ import annotations

import pytest

from connectors.errors import InvalidValue, NotFound
from connectors.tcx.answers import User
from connectors.tcx.numbers import digits_of, e164, like, national_part
from connectors.tcx.people import key_of, name_of, split


@pytest.mark.parametrize(
    ("kept", "region", "shown"),
    [("442079460123", "GB", "+442079460123"), ("02079460123", "GB", "+442079460123"),
     ("+442079460123", "GB", "+442079460123"), (" +442079460123 ", "GB", "+442079460123"),
     ("35319060990", "GB", "+35319060990"), ("35319060990", "IE", "+35319060990"), ("0301234567", "DE", "+49301234567"),
     ("*0123", "GB", "*0123"), ("", "GB", ""), ("123", "GB", "123"), ("٠١٢٣٤٥٦٧٨", "GB", "٠١٢٣٤٥٦٧٨"),
     ("999999999999999999", "GB", "999999999999999999"), ("anonymous", "GB", "anonymous")],
)  # fmt: skip
def test_a_number_is_shown_in_one_way_however_a_trunk_sends_it(kept: str, region: str, shown: str) -> None:
    assert e164(kept, region) == shown


@pytest.mark.parametrize(
    ("kept", "written"),
    [("442079460123", "442079460900"), ("02079460123", "02079460900"), ("+442079460123", "+442079460900")],
)
def test_another_number_is_written_as_the_one_before(kept: str, written: str) -> None:
    assert like(kept, "+442079460900", "GB") == written
    assert e164(written, "GB") == "+442079460900"


@pytest.mark.parametrize(("typed", "held"), [("+442079460123", "2079460123"), ("02079460123", "2079460123"),
                                             ("0207", "207"), ("460123", "460123"), ("+44", ""), ("00", ""),
                                             ("+35319060990", "35319060990")])  # fmt: skip
def test_what_is_looked_for_is_in_every_way_of_writing_it(typed: str, held: str) -> None:
    assert national_part(typed, "GB") == held


@pytest.mark.parametrize("number", ["", "02079460123", "+", "+1", "+44x", "+44 2079460123", "*0123", "a\nb"])
def test_what_is_no_number_is_not_looked_for(number: str) -> None:
    with pytest.raises(InvalidValue):
        digits_of(number, "GB")


@pytest.mark.parametrize(
    ("first", "last", "name", "becomes"),
    [("Grace", "Okonkwo", "Grace Bell", ("Grace", "Bell")),
     ("Grace", "Okonkwo", "Gracie Okonkwo", ("Gracie", "Okonkwo")),
     ("Ana", "Ruiz Gómez", "Ana María Ruiz Gómez", ("Ana María", "Ruiz Gómez")),
     ("Jan", "", "Jan de Vries", ("Jan", "de Vries")),
     ("Zoë", "de Vries", "Cher", ("Cher", "")), ("", "Reception", "Front Reception", ("Front", "Reception")),
     (None, None, "Zoë de Vries", ("Zoë", "de Vries")), ("Ann", "Ann", "Ann Ann", ("Ann", "Ann"))],
)  # fmt: skip
def test_a_name_keeps_its_parts_and_is_read_back_whole(
    first: str | None, last: str | None, name: str, becomes: tuple[str, str]
) -> None:
    user = User(Id=1, Number="201", FirstName=first, LastName=last)
    assert split(name, user) == becomes
    assert name_of(User(Id=1, Number="201", FirstName=becomes[0], LastName=becomes[1])) == name


@pytest.mark.parametrize(
    "person_id", ["7", "201", "u", "u-1", "u01", "u7 ", "U7", "u٧", "u2147483648", "u99999999999", ""]
)
def test_digits_that_somebody_types_are_never_the_key_of_another_person(person_id: str) -> None:
    with pytest.raises(NotFound):
        key_of(person_id)
    assert key_of("u7") == 7
