"""Whom the kit plants: names of many scripts, people alike, and secrets that are found wherever they turn up.

Every secret begins with a tag that is this run's own, so that one search finds any of them; those of digits alone
have a tag of digits. The rest of it is random.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Final

from connectors.conformance.bench import Bench, Planted
from connectors.contract import SecretKind, SecretRules

TAG: Final = "K7" + secrets.token_hex(6)
"""What secrets with letters begin with in this run."""
DIGITS: Final = "9" + "".join(secrets.choice("0123456789") for _ in range(6))
"""What secrets of digits alone begin with."""
DOMAIN: Final = "customer.example"

NAMES: Final = (
    "Grace Okonkwo", "John Smith", "John Smith", "Siobhán O'Brien", "李 小龍", "ليلى حداد", "דוד כהן",
    "Nguyễn Văn An", "Ελένη Παππά", "Zoë de Vries", "Ömer Yıldız", "Mary-Kate Doyle",
)  # fmt: skip
"""Two of one name, ASCII and not, from right to left, apostrophe and dash; none longer than 15 letters."""
_IDS: Final = {3: "alice.wong", 4: "desk-7", 5: "Front_Desk.2-b"}


def secret_of(field: str) -> str:
    """A new secret for that kind or field, by whose tag the kit finds it wherever it turns up."""
    if field == SecretKind.VOICEMAIL:
        return DIGITS + "".join(secrets.choice("0123456789") for _ in range(3))
    return f"{TAG}{field.replace('_', '')[:6]}{secrets.token_hex(4)}"


def planted(bench: Bench, count: int = len(NAMES), *, plain: bool = False) -> list[Planted]:
    """That many people. The first few are the odd ones; `plain`: none is odd, and secrets are left out."""
    fields = [*(kind.value for kind in bench.family.capabilities().secrecy), *bench.traits.more_secrets]
    made = []
    for number in range(count):
        extension = str(20_001 + number)
        name = NAMES[number] if number < len(NAMES) and not plain else f"Person {number}"
        name = name if re.fullmatch(bench.traits.names, name) else f"Person {number}"
        ddis = [f"+44207{number:07d}"]
        if not plain:
            ddis = ([] if number == 7 else ddis) + [f"+44161{number:07d}"] * (number == 6)
        made.append(
            Planted(
                extension if plain else _IDS.get(number, extension), extension, name,
                None if (number == 8 and not plain) or not bench.traits.emails else f"user{number}@{DOMAIN}",
                tuple(ddis[: bench.traits.max_ddis]), {} if plain else {f: secret_of(f) for f in fields},
            )
        )  # fmt: skip
    return made


def generated(rules: SecretRules) -> str:
    """A new secret as the rules want it: random, and as long as is allowed up to 24."""
    length = min(rules.max_length, max(rules.min_length, 24))
    while True:
        made = "".join(secrets.choice(rules.alphabet) for _ in range(length))
        if all(set(made) & set(group) for group in rules.classes):
            return made


def all_secrets(people: Iterable[Planted]) -> list[str]:
    """Every secret of these people."""
    return [value for person in people for value in person.secrets.values()]
