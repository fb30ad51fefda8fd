"""What a new secret looks like: the stricter of phone system and customer, or a refusal in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connectors.contract import Operation, SecretKind, SecretRules
from gateway.errors import NotPermittedError
from gateway.model import CharacterClass, Terms
from gateway.session.secret_shape import Shape, generate, shape_for

PIN = SecretRules("0123456789", 4, 10, True, "in clear")
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
SIP = SecretRules(LETTERS, 8, 64, False, "in clear")


def terms(**given: object) -> Terms:
    return Terms(operations=frozenset(Operation), **given)  # type: ignore[arg-type]


def test_the_longer_of_the_two_least_lengths_counts() -> None:
    longer = terms(secret_lengths={SecretKind.VOICEMAIL: 9})
    assert shape_for(SecretKind.VOICEMAIL, PIN, longer).length == 9
    strict = SecretRules("0123456789", 10, 12, True, "")
    assert shape_for(SecretKind.VOICEMAIL, strict, longer).length == 10
    assert shape_for(SecretKind.VOICEMAIL, PIN, terms()).length == 6
    assert shape_for(SecretKind.SIP, SIP, terms()).length == 20


def test_what_is_usual_where_nobody_asks_for_more() -> None:
    assert {kind: shape_for(kind, SIP, terms()).length for kind in SecretKind} == {
        SecretKind.VOICEMAIL: 8, SecretKind.SIP: 20, SecretKind.PORTAL: 20,
    }  # fmt: skip


def test_the_most_that_the_phone_system_takes_may_be_asked_for() -> None:
    assert shape_for(SecretKind.VOICEMAIL, PIN, terms(secret_lengths={SecretKind.VOICEMAIL: 10})).length == 10


@pytest.mark.parametrize(
    ("wanted", "has"),
    [(CharacterClass.LOWER, str.islower), (CharacterClass.UPPER, str.isupper), (CharacterClass.DIGIT, str.isdigit)],
)
def test_each_class_is_in_every_secret(wanted: CharacterClass, has: Callable[[str], bool]) -> None:
    shape = shape_for(SecretKind.SIP, SIP, terms(secret_classes={SecretKind.SIP: {wanted}}))
    assert all(any(has(c) for c in generate(shape)) for _ in range(50))


def test_a_class_that_only_stands_among_what_looks_alike_brings_those_back() -> None:
    rules = SecretRules("abcdefghijkmnopqrstuvwxyz01", 8, 64, False, "")
    shape = shape_for(SecretKind.SIP, rules, terms(secret_classes={SecretKind.SIP: {CharacterClass.DIGIT}}))
    assert {"0", "1"} <= set(shape.alphabet)
    assert not set("01") & set(shape_for(SecretKind.SIP, rules, terms()).alphabet)


def test_more_classes_than_characters_are_refused() -> None:
    rules = SecretRules(LETTERS, 1, 2, False, "")
    every = {CharacterClass.LOWER, CharacterClass.UPPER, CharacterClass.DIGIT}
    with pytest.raises(NotPermittedError, match="too few"):
        shape_for(SecretKind.SIP, rules, terms(secret_classes={SecretKind.SIP: every}))


def test_what_the_phone_system_takes_at_most_is_kept_to() -> None:
    short = SecretRules("0123456789", 4, 5, True, "")
    assert shape_for(SecretKind.VOICEMAIL, short, terms()).length == 5
    assert len(generate(shape_for(SecretKind.VOICEMAIL, short, terms()))) == 5


def test_a_maximum_below_the_customers_minimum_is_refused_in_words() -> None:
    with pytest.raises(NotPermittedError, match="at least 12 characters, and this phone system takes at most 10") as no:
        shape_for(SecretKind.VOICEMAIL, PIN, terms(secret_lengths={SecretKind.VOICEMAIL: 12}))
    assert "nothing was written" in no.value.next_step


def test_classes_of_characters_are_kept_or_refused() -> None:
    wanted = terms(secret_classes={SecretKind.SIP: {CharacterClass.UPPER, CharacterClass.DIGIT}})
    shape = shape_for(SecretKind.SIP, SIP, wanted)
    for _ in range(50):
        value = generate(shape)
        assert any(c.isupper() for c in value)
        assert any(c.isdigit() for c in value)
    with pytest.raises(NotPermittedError, match="at least one symbol character"):
        shape_for(SecretKind.SIP, SIP, terms(secret_classes={SecretKind.SIP: {CharacterClass.SYMBOL}}))


def test_characters_that_look_alike_are_left_out_where_enough_remain() -> None:
    printable = SecretRules("".join(map(chr, range(33, 127))), 8, 64, False, "")
    assert set(map(chr, range(33, 127))) - set(shape_for(SecretKind.SIP, printable, terms()).alphabet) == set(
        "0O1lI|`'\""
    )
    assert shape_for(SecretKind.VOICEMAIL, PIN, terms()).alphabet == "0123456789"


def test_too_few_to_be_a_secret_is_refused() -> None:
    with pytest.raises(NotPermittedError, match="too few to be a secret"):
        shape_for(SecretKind.VOICEMAIL, SecretRules("0123456789", 3, 3, True, ""), terms())


def test_what_anybody_would_try_first_is_never_drawn() -> None:
    shape = shape_for(
        SecretKind.VOICEMAIL, SecretRules("0123456789", 4, 4, True, ""), terms(), ("2001", "+442079460123")
    )
    drawn = {generate(shape) for _ in range(60_000)}
    assert not drawn & {"0000", "7777", "1234", "8901", "9876", "1212", "2001", "0123"}
    # Everything else can come: nothing but the obvious is left out.
    assert len(drawn) > 9_000


def test_a_shape_travels_whole() -> None:
    shape = shape_for(SecretKind.SIP, SIP, terms(secret_classes={SecretKind.SIP: {CharacterClass.UPPER}}), ("2001",))
    assert Shape.of(shape.plain()) == shape


def test_what_the_phone_system_asks_for_is_in_every_secret_beside_what_the_customer_does() -> None:
    strict = SecretRules("abcXYZ789!", 10, 63, False, "", classes=("abc", "XYZ", "789"))
    shape = shape_for(SecretKind.PORTAL, strict, terms(secret_classes={SecretKind.PORTAL: {CharacterClass.SYMBOL}}))
    for _ in range(200):
        made = set(generate(shape))
        assert all(made & set(group) for group in ("abc", "XYZ", "789", "!"))


def test_more_classes_than_characters_are_a_refusal_and_no_endless_drawing() -> None:
    short = SecretRules("abXY78", 2, 2, False, "", classes=("ab", "XY", "78"))
    with pytest.raises(NotPermittedError):
        shape_for(SecretKind.PORTAL, short, terms())
