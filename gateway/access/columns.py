"""What may stand in a spreadsheet that is imported: kinds of row, their columns, and what each takes.

Headers are matched loosely; values are checked strictly, and written as Frameroom keeps them. An empty cell leaves
what is there as it is. No column takes a secret: a file that has one for it is refused before a row is read.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import phonenumbers

from connectors.contract import Operation, SecretKind
from connectors.registry import families
from connectors.transport.identity import plain
from gateway.errors import InvalidError
from gateway.model import CharacterClass

_SECRET: Final = re.compile(r"pass ?(word|wd|phrase|code)|\bpwd\b|secret|private ?key|\bpins?\b|\bpin (code|number)")
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_OPERATIONS: Final = {
    "list everyone": "list-all", "list": "list-all", "see": "view", "show": "view", "change": "alter", "edit": "alter",
    "delete": "remove", "diagnostics": "diag", "reset pin": "reset-voicemail", "reset portal password": "reset-portal",
    "reset sip password": "reset-sip",
}  # fmt: skip
_CLASSES: Final = {
    "lowercase": "lower", "uppercase": "upper", "digits": "digit", "number": "digit", "numbers": "digit",
    "symbols": "symbol", "special": "symbol",
} | {known.value: known.value for known in CharacterClass}  # fmt: skip
_UK_POSTCODE: Final = re.compile(r"([A-Z]{1,2}[0-9][A-Z0-9]?) ?([0-9][A-Z]{2})")


class Refused(ValueError):
    """A value or row that cannot be taken; the words say why."""


Clean = Callable[[str, str], str]
"""(text of the cell, region of the customer) → as it is kept. Refused."""


@dataclass(frozen=True, slots=True)
class Column:
    """`also`: other headers that mean it. `needed`: a row that adds something must have it."""

    name: str
    also: tuple[str, ...]
    clean: Clean
    needed: bool = False


def _text(value: str, region: str) -> str:
    if len(value) > 200:
        raise Refused("it is longer than 200 characters")
    if any(not c.isprintable() for c in value):
        raise Refused("it holds control characters")
    return value


def _email(value: str, region: str) -> str:
    if not re.fullmatch(r"[^@\s\"<>,;]{1,64}@[^@\s\"<>,;]+\.[^@\s\"<>,;.]{2,}", _text(value, region)):
        raise Refused(f"{value} is no mail address; expected one like kate@customer.example")
    local, _, domain = value.rpartition("@")
    return f"{local}@{domain.lower()}"


def telephone(value: str, region: str) -> str:
    """E.164. In the UK a national number may stand without its zero, as spreadsheet programs leave it."""
    try:
        number = phonenumbers.parse(value, "GB" if region == "uk" else None)
        if re.search("[A-Za-z]", value) or not phonenumbers.is_possible_number(number):
            raise Refused(f"{value} is no telephone number")
    except phonenumbers.NumberParseException as error:
        raise Refused(f"{value} is no telephone number; expected one like +44 20 7946 0900") from error
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _postcode(value: str, region: str) -> str:
    given = " ".join(value.upper().split())
    if region != "uk":
        if not re.fullmatch(r"[A-Z0-9][A-Z0-9 -]{2,9}", given):
            raise Refused(f"{value} is no postcode")
        return given
    found = _UK_POSTCODE.fullmatch(given)
    if found is None:
        raise Refused(f"{value} is no postcode; expected one like LS1 4AP")
    return f"{found[1]} {found[2]}"


def _one_of(*known: str) -> Clean:
    def clean(value: str, region: str) -> str:
        if value.casefold() in known:
            return value.casefold()
        near = difflib.get_close_matches(value.casefold(), known, 1)
        raise Refused(f"{value} is none of {', '.join(known)}" + (f"; did you mean {near[0]}?" if near else ""))

    return clean


def _connector(value: str, region: str) -> str:
    return _one_of(*families())(value, region)


def _host(value: str, region: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", value):
        raise Refused(f"{value} is no host name or address")
    return value


def _port(value: str, region: str) -> str:
    if not re.fullmatch(r"[0-9]{1,5}", value) or not 1 <= int(value) <= 65_535:
        raise Refused(f"{value} is no port; expected a number from 1 to 65535")
    return str(int(value))


def _pin(value: str, region: str) -> str:
    key = re.fullmatch(r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]{40,}={0,2}(?: .*)?", value)
    certificate = value.startswith("-----BEGIN CERTIFICATE-----") and value.endswith("-----END CERTIFICATE-----")
    if key is None and not certificate:
        if (kept := plain(value)) is not None:
            return kept
        raise Refused(
            "the host key is neither an OpenSSH public key (ssh-ed25519 AAAA…), a PEM certificate, sha256:… of one, "
            "nor system-cas"
        )
    return value


def _settings(value: str, region: str) -> str:
    try:
        if isinstance(json.loads(value), dict):
            return value
    except ValueError as error:
        raise Refused(f"the settings are no JSON ({error})") from error
    raise Refused('the settings are no JSON object; expected one like {"database": "asterisk"}')


def yes_or_no(value: str, region: str) -> str:
    """ "yes" or "no"."""
    if value.casefold() in {"yes", "y", "true", "1", "x"}:
        return "yes"
    if value.casefold() in {"no", "n", "false", "0"}:
        return "no"
    raise Refused(f"{value} is neither yes nor no")


def _operations(value: str, region: str) -> str:
    found = set()
    for part in filter(None, (p.strip().casefold() for p in re.split(r"[,;/\n|+]", value))):
        # "find view alter" is three words; "reset voicemail" is one operation.
        for word in [part] if _operation(part) else part.split():
            known = _operation(word)
            if known is None:
                raise Refused(f"{word} is no operation; there are: {', '.join(o.value for o in Operation)}")
            found.add(known)
    return " ".join(sorted(found))


def _operation(word: str) -> str | None:
    plain = _OPERATIONS.get(word, re.sub(r"[\s_]+", "-", word))
    return plain if plain in set(Operation) else None


def _domains(value: str, region: str) -> str:
    found = []
    for word in re.split(r"[,;\s]+", value.lower()):
        domain = word.removeprefix("@")
        if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", domain):
            raise Refused(f"{word} is no mail domain; expected one like customer.example")
        found.append(domain)
    return " ".join(sorted(set(found)))


def minutes(value: str, region: str) -> str:
    """Minutes of 90, 2h, 90m or 1h30m."""
    match = re.fullmatch(r"(?:([0-9]{1,3}) ?h(?:ours?)?)? ?(?:([0-9]{1,5}) ?(?:m(?:in(?:utes)?)?)?)?", value.lower())
    if not match or not any(match.groups()):
        raise Refused(f"{value} is no length of time; expected minutes, or one like 8h or 1h30m")
    return str(int(match[1] or 0) * 60 + int(match[2] or 0))


def _days(value: str, region: str) -> str:
    found: set[int] = set()
    for part in filter(None, re.split(r"[,;\s]+", re.sub(r"\s*(?:-|–|\bto\b)\s*", "-", value.casefold()))):
        ends = [_WEEKDAYS.index(end[:3]) if end[:3] in _WEEKDAYS else -1 for end in part.split("-")]
        if -1 in ends or len(ends) > 2 or ends[0] > ends[-1]:
            raise Refused(f"{value} are no weekdays; expected some like Mon-Fri or Mon, Wed")
        found |= set(range(ends[0] + 1, ends[-1] + 2))
    return " ".join(map(str, sorted(found)))


def _clock(value: str, region: str) -> str:
    match = re.fullmatch(r"([01]?[0-9]|2[0-4])[:.]([0-5][0-9])(?::00)?", value)
    if match is None or (match[1] == "24" and match[2] != "00"):
        raise Refused(f"{value} is no time of day; expected one like 08:00")
    return f"{int(match[1]):02d}:{match[2]}"


def _by_secret(value: str, example: str) -> dict[str, list[str]]:
    """The words behind each kind of password: "voicemail 6, sip 16". What else stands there is not said again: under
    such a header it could be a password."""
    found: dict[str, list[str]] = {}
    for word in re.findall(r"[^\s,;:=+|/&]+", value.casefold()):
        if word in set(SecretKind):
            if word in found:
                raise Refused(f"{word} is there twice")
            found[word] = []
        elif found:
            found[next(reversed(found))].append(word)
        else:
            raise Refused(f"it does not begin with voicemail, sip or portal; expected one like {example}, or none")
    return found


def _lengths(value: str, region: str) -> str:
    """ "sip 16 voicemail 6"; "none" where the phone system's own lengths are enough."""
    if value.casefold() == "none":
        return "none"
    example = "“voicemail 6, sip 16”"
    found = _by_secret(value, example)
    for kind, words in found.items():
        if len(words) != 1 or not re.fullmatch(r"[0-9]{1,3}", words[0]) or not 4 <= int(words[0]) <= 64:
            raise Refused(f"behind {kind} stands no length from 4 to 64; expected one like {example}")
    return " ".join(f"{kind} {int(words[0])}" for kind, words in sorted(found.items()))


def _classes(value: str, region: str) -> str:
    """ "sip digit,lower voicemail digit"; "none" where any characters will do."""
    if value.casefold() == "none":
        return "none"
    example = "“sip lower upper digit, portal lower digit symbol”"
    found = _by_secret(value, example)
    for kind, words in found.items():
        if not words or not all(word in _CLASSES or word == "and" for word in words):
            known = ", ".join(known.value for known in CharacterClass)
            raise Refused(f"behind {kind} stands something else than {known}; expected one like {example}")
    kept = {kind: sorted({_CLASSES[word] for word in words if word != "and"}) for kind, words in found.items()}
    return " ".join(f"{kind} {','.join(words)}" for kind, words in sorted(kept.items()))


def _persons(value: str, region: str) -> str:
    if not re.fullmatch(r"[0-9]{1,2}", value) or not 1 <= int(value) <= 10:
        raise Refused(f"{value} is no number of persons from 1 to 10")
    return str(int(value))


_CUSTOMER: Final = Column("customer", ("customer name", "client", "company", "account", "organisation"), _text, True)
_NAME: Final = ("full name", "contact", "contact name", "person")
_MAIL: Final = Column("email", ("e-mail", "mail", "email address", "e-mail address"), _email, True)
_PHONE: Final = Column("phone", ("telephone", "tel", "mobile", "phone number", "telephone number"), telephone)
_TOWN: Final = Column("town", ("city", "place"), _text)
_POSTCODE: Final = Column("postcode", ("post code", "zip", "zip code", "postal code"), _postcode)
KINDS: Final[Mapping[str, tuple[Column, ...]]] = {
    "customer": (
        Column("customer", ("name", "customer name", "client", "company", "organisation"), _text, True),
        Column("region", (), _one_of("uk", "eu")),
    ),
    "site": (_CUSTOMER, Column("site", ("name", "site name", "location", "branch"), _text, True), _TOWN, _POSTCODE),
    "agreement": (
        _CUSTOMER,
        Column("operations", ("allowed operations", "allowed", "permitted operations"), _operations, True),
        Column("mail domains", ("domains", "email domains", "mail domain", "email domain"), _domains),
        Column("zone", ("time zone", "timezone"), _text),
        Column("days", ("working days", "weekdays"), _days),
        Column("from", ("opens", "start", "hours from", "working hours from"), _clock),
        Column("to", ("closes", "end", "hours to", "until", "working hours to"), _clock),
        Column("longest visit", ("max minutes", "maximum length", "max length", "longest"), minutes),
        Column("ticket", ("ticket required", "ticket needed"), yes_or_no),
        Column("consent by phone", ("phone consent", "consent by telephone", "telephone consent"), yes_or_no),
        Column("only approver may receive", ("approver may receive", "sole approver may receive"), yes_or_no),
        Column("secret lengths", ("password lengths", "least lengths", "minimum password lengths"), _lengths),
        Column("secret classes", ("password classes", "character classes", "password characters"), _classes),
        Column("approvals needed", ("approvals", "approvers needed", "number of approvals", "yeses needed"), _persons),
    ),
    "system": (
        _CUSTOMER,
        Column("system", ("name", "phone system", "system name", "pbx", "pbx name"), _text, True),
        Column("connector", ("type", "family", "make", "system type"), _connector, True),
        Column("host", ("address", "hostname", "ip", "ip address"), _host, True),
        Column("port", ("tcp port",), _port),
        Column("host key", ("hostkey", "pinned key", "certificate"), _pin),
        Column("site", ("site name", "location", "branch"), _text),
        Column("asset", ("asset number", "asset no", "asset tag", "serial", "serial number"), _text),
        Column("ddi range", ("ddi", "ddis", "number range", "numbers", "did range"), _text),
        Column("settings", ("connector settings",), _settings),
        Column("login", ("user", "username", "user name", "account"), _text),
        Column("credential file", ("key file", "credentials file", "credential path", "credential"), _text),
    ),
    "contact": (
        _CUSTOMER,
        Column("name", _NAME, _text, True),
        _MAIL,
        Column("phone", ("telephone", "tel", "phone number", "telephone number"), telephone),
        Column("mobile", ("mobile number", "mobile phone", "cell"), telephone),
        Column("position", ("role", "job title", "title", "function"), _text),
        Column("notices", ("notify", "notifications", "mails"), _one_of("each", "changes", "daily", "none")),
        Column("standing", ("status", "contact status"), _one_of("prospective", "current", "former")),
        Column("no marketing", ("marketing opt out", "opt out", "opted out", "do not market"), yes_or_no),
    ),
    "approver": (_CUSTOMER, Column("name", (*_NAME, "approver", "approver name"), _text, True), _MAIL, _PHONE),
}
"""In the order in which a customer's rows are taken: what others name comes first."""

_PLURALS: Final = {f"{kind}s": kind for kind in KINDS} | {
    "phone system": "system", "phone systems": "system", "pbxs": "system", "pbx": "system", "locations": "site",
    "clients": "customer",
}  # fmt: skip
# What only one kind has tells it; a name, an email and a telephone could be a contact's or an approver's.
_TELLING: Final = {
    "operations": "agreement", "connector": "system", "host": "system", "notices": "contact", "position": "contact",
    "standing": "contact", "no marketing": "contact",
}  # fmt: skip


def kind_of(word: str) -> str | None:
    """The kind that a word (a sheet's or file's name, a cell of column `kind`) means."""
    plain = _plain(word)
    return plain if plain in KINDS else _PLURALS.get(plain)


def _plain(header: str) -> str:
    return " ".join(re.sub(r"[^\w]+|_", " ", header.casefold()).split())


def matching(kind: str, header: str) -> Column | None:
    """The column of a kind that a header means."""
    plain = _plain(header)
    exact = [c for c in KINDS[kind] if _plain(c.name) == plain]
    return next(iter(exact or [c for c in KINDS[kind] if plain in map(_plain, c.also)]), None)


def told_by(headers: Sequence[str]) -> str | None:
    """The kind that a header row gives away, or None."""
    for name, kind in _TELLING.items():
        if any((column := matching(kind, h)) is not None and column.name == name for h in headers):
            return kind
    plain = {_plain(h) for h in headers if h}
    if matching_all("site", headers) and plain & {"town", "city", "place", "postcode", "post code", "site"}:
        return "site"
    return "customer" if plain and matching_all("customer", headers) else None


def matching_all(kind: str, headers: Sequence[str]) -> bool:
    """True when every header is a column of the kind."""
    return all(matching(kind, h) is not None for h in headers if h)


_ABOUT: Final = [column for column in KINDS["agreement"] if column.clean in (_lengths, _classes)]
_OF_SECRETS: Final = {name for column in _ABOUT for name in (column.name, *column.also)}
"""Headers of what an agreement says about passwords: no column of passwords, and checked so, cell by cell."""


def no_secrets(headers: Sequence[str]) -> None:
    """InvalidError when a column would hold secrets."""
    for header in headers:
        if _SECRET.search(_plain(header)) and _plain(header) not in _OF_SECRETS:
            raise InvalidError(
                f'column "{header}" would hold secrets, and a spreadsheet is no place for them; nothing was read',
                next_step='Take it out. Column "credential file" names a file of mode 0600 that holds the credential.',
            )


def unknown(header: str, kinds: Sequence[str]) -> str:
    """What to say of a header that is no column: the nearest that is one."""
    names = sorted({name for kind in kinds for c in KINDS[kind] for name in (c.name, *c.also)})
    near = difflib.get_close_matches(_plain(header), names, 1, 0.5)
    if not near:
        return f'"{header}"'
    column = next(c for kind in kinds if (c := matching(kind, near[0])) is not None)
    return f'"{header}" (nearest: {column.name})'


def checked(kind: str, cells: Mapping[str, str], region: str) -> dict[str, str]:
    """The row's values as Frameroom keeps them, empty ones left out. Refused, naming the column."""
    values: dict[str, str] = {}
    for column in KINDS[kind]:
        given = cells.get(column.name, "")
        if given:
            try:
                values[column.name] = column.clean(given, region)
            except Refused as error:
                raise Refused(f"{column.name}: {error}") from error
    return values


def missing(kind: str, values: Mapping[str, Any]) -> list[str]:
    """Names of needed columns without a value."""
    return [column.name for column in KINDS[kind] if column.needed and not values.get(column.name)]
