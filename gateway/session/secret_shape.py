"""What a new secret looks like: the stricter of what the phone system takes and what the customer asks for.

`shape_for` decides before anything is written, and says in words when the two cannot both be met; `generate` draws in
the reset's child alone.
"""

from __future__ import annotations

import itertools
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from connectors.contract import SecretKind, SecretRules
from gateway.errors import NotPermittedError
from gateway.model import CharacterClass, Terms

# What we ask for where neither side asks for more, as far as the phone system takes it.
_USUAL: Final[Mapping[SecretKind, int]] = {SecretKind.VOICEMAIL: 6, SecretKind.SIP: 20, SecretKind.PORTAL: 20}
_CLASSES: Final[Mapping[CharacterClass, str]] = {
    CharacterClass.LOWER: string.ascii_lowercase,
    CharacterClass.UPPER: string.ascii_uppercase,
    CharacterClass.DIGIT: string.digits,
    CharacterClass.SYMBOL: string.punctuation,
}
# People read it off a screen and key it into a telephone.
_LOOK_ALIKE: Final = frozenset("0O1lI|`'\"")
_FEWEST: Final = 10_000
_REMEDY: Final = "The customer has to agree to other rules for this phone system; nothing was written."


@dataclass(frozen=True, slots=True)
class Shape:
    """`length` characters of `alphabet`, at least one of each of `classes`, and nothing that holds one of `avoid`."""

    alphabet: str
    length: int
    classes: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As it travels to the child."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `plain`."""
        return cls(plain["alphabet"], plain["length"], tuple(plain["classes"]), tuple(plain["avoid"]))


def shape_for(kind: SecretKind, rules: SecretRules, terms: Terms, known: tuple[str, ...] = ()) -> Shape:
    """The shape of a new secret; it will hold none of `known` (an extension, a number), which anybody would try.

    NotPermittedError, before anything is written, when the phone system cannot take what the customer asks for.
    """
    wanted = terms.secret_lengths.get(kind, 0)
    if wanted > rules.max_length:
        raise NotPermittedError(
            f"The customer asks for {kind.value} passwords of at least {wanted} characters, and this phone system "
            f"takes at most {rules.max_length}.",
            next_step=_REMEDY,
        )
    length = min(max(rules.min_length, wanted, _USUAL[kind]), rules.max_length)
    # `dict`: each character once, or the doubled ones would come twice as often.
    every = "".join(dict.fromkeys(rules.alphabet))
    clear = "".join(c for c in every if c not in _LOOK_ALIKE)
    classes = terms.secret_classes.get(kind, frozenset())
    enough = len(clear) >= 20 and all(set(clear) & set(_CLASSES[name]) for name in classes)
    alphabet = clear if enough else every
    for name in sorted(classes):
        if not set(alphabet) & set(_CLASSES[name]):
            raise NotPermittedError(
                f"The customer asks for {kind.value} passwords with at least one {name.value} character, and this "
                "phone system takes none.",
                next_step=_REMEDY,
            )
    wanted_here = tuple(group for group in rules.classes if set(group) & set(alphabet))
    if len(classes) + len(wanted_here) > length or len(alphabet) ** length < _FEWEST:
        raise NotPermittedError(
            f"This phone system takes {kind.value} passwords of {length} characters at most: too few to be a secret.",
            next_step=_REMEDY,
        )
    digits = (re.sub(r"\D", "", word) for word in known)
    avoid = tuple(dict.fromkeys(d[-length:] for d in digits if len(d) >= 3))
    asked = tuple(_CLASSES[name] for name in sorted(classes))
    return Shape(alphabet, length, tuple(dict.fromkeys((*asked, *wanted_here))), avoid)


def generate(shape: Shape) -> str:
    """A uniformly random secret of that shape; what anybody would try first is drawn again."""
    while True:
        value = "".join(secrets.choice(shape.alphabet) for _ in range(shape.length))
        if not _obvious(value, shape):
            return value


def _obvious(value: str, shape: Shape) -> bool:
    if not all(set(value) & set(characters) for characters in shape.classes):
        return True
    if any(word in value for word in shape.avoid):
        return True
    steps = {(ord(b) - ord(a)) % 10 for a, b in itertools.pairwise(value)}
    running = value.isdigit() and steps in ({0}, {1}, {9})
    repeats = any(value == value[:n] * (len(value) // n) for n in range(1, len(value) // 2 + 1))
    return running or repeats
