"""The stand-in's end users and mailboxes, and what it answers: it tells a secret to whoever asks for one."""

from __future__ import annotations

import base64
import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote
from xml.sax.saxutils import escape

from tests.support.cucm import schema

ILLEGAL = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")
Headers = Mapping[str, str]
XML_KIND = "text/xml;charset=UTF-8"


@dataclass
class User:
    """One end user."""

    userid: str
    first: str = ""
    last: str = ""
    mail: str = ""
    extension: str = ""
    telephone: str = ""
    display: str = ""
    directory: str = ""
    devices: tuple[str, ...] = ()
    secrets: dict[str, str] = field(default_factory=dict)
    must_change: set[str] = field(default_factory=set)
    unlocked: set[str] = field(default_factory=set)
    uuid: str = field(default_factory=lambda: "{" + str(uuid.uuid4()).upper() + "}")

    @property
    def name(self) -> str:
        return " ".join(part for part in (self.first, self.last) if part)

    def value(self, tag: str) -> str:
        """The content of an element, as XML."""
        if tag == "primaryExtension":
            return f"<pattern>{escape(self.extension)}</pattern>" if self.extension else ""
        if tag == "associatedDevices":
            return "".join(f"<device>{escape(name)}</device>" for name in self.devices)
        plain = {
            "firstName": self.first, "displayName": self.display, "lastName": self.last, "userid": self.userid,
            "mailid": self.mail, "telephoneNumber": self.telephone, "ldapDirectoryName": self.directory,
        }  # fmt: skip
        return escape(plain[tag] if tag in plain else self.secrets.get(tag, ""))


@dataclass
class Mailbox:
    """One mailbox of Unity Connection."""

    alias: str
    pin: str = ""
    hack_count: int = 3
    must_change: bool = False
    object_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Answer:
    """Status, content type and body."""

    status: int
    body: bytes = b""
    kind: str = XML_KIND
    more: tuple[str, ...] = ()


class Refuses(Exception):
    """A SOAP fault: its code, and words that, as Cisco's do, may repeat what was asked."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


@dataclass
class Cucm:
    """One cluster with its voicemail."""

    users: list[User]
    mailboxes: list[Mailbox] = field(default_factory=list)
    release: str = "14.0.1.13900-155"
    speaks: tuple[str, ...] = schema.VERSIONS[2:]
    accounts: dict[str, str] = field(default_factory=dict)
    fits: int = 10_000
    """Rows that go into one answer (8 MB)."""
    busy: int = 0
    """How many times it answers 503 before it answers."""
    no_memory: int = 0
    """How many times a look is answered with the other fault that means to wait."""
    retry_after: str | None = "0"
    turned_away: set[str] = field(default_factory=set)
    """Requests, by template, that are answered 503 whenever they come."""
    lower_rank: set[str] = field(default_factory=set)
    heard: list[str] = field(default_factory=list)
    bodies: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Each request (path, SOAPAction, body) and, for AXL, the body of its answer after it."""
    keeps_bodies: bool = False

    def user(self, userid: str) -> User | None:
        return next((one for one in self.users if one.userid == userid), None)

    def mailbox(self, alias: str) -> Mailbox | None:
        return next((one for one in self.mailboxes if one.alias.lower() == alias.lower()), None)

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        """What comes of a request."""
        if not self._signed_in(headers):
            return Answer(401, b"<html><body>HTTP Status 401</body></html>", "text/html;charset=utf-8")
        if path.startswith("/vmrest/"):
            return self._cupi(method, path, body)
        if (method, path) != ("POST", "/axl/"):
            self.heard.append(f"{method} {path}")
            return Answer(404, b"<html><body>HTTP Status 404</body></html>", "text/html;charset=utf-8")
        answer = self._axl(headers, body)
        if self.keeps_bodies:
            self.bodies += [(path, headers.get("soapaction", ""), body), ("", "", answer.body)]
        return answer

    def _signed_in(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind != "Basic":
            return False
        login, _, password = base64.b64decode(given).decode().partition(":")
        return self.accounts.get(login) == password

    # --- AXL ---

    def _axl(self, headers: Headers, body: bytes) -> Answer:
        found = re.fullmatch(r'"CUCM:DB ver=([0-9.]+) (\w+)"', headers.get("soapaction", ""))
        version, called = (found[1], found[2]) if found else ("", "")
        if version not in self.speaks:
            self.heard.append("version" if called == "getCCMVersion" else f"{called} in version {version}")
            words = f"Incorrect axl version. Supported axl versions: [{','.join(self.speaks)}]"
            return Answer(599, f"<html><body>{words}</body></html>".encode(), "text/html;charset=utf-8")
        try:
            root = ET.fromstring(body)  # noqa: S314  the connector's own request
            (asked,) = root.findall(f"{{{schema.SOAP}}}Body/*")
        except (ET.ParseError, ValueError):
            self.heard.append(f"no SOAP: {body!r:.80}")
            return self._fault(version, "", Refuses(-1, "that is no SOAP"))
        self.heard.append(_template(asked, version))
        if asked.tag != f"{{{schema.AXL}{version}}}{called}":
            return self._fault(version, called, Refuses(-1, "SOAPAction and body differ"))
        writes = called.startswith(("update", "remove"))
        if self.busy or self.heard[-1] in self.turned_away:
            self.busy = max(0, self.busy - 1)
            more = () if self.retry_after is None else (f"Retry-After: {self.retry_after}",)
            return Answer(503, b"<html><body>Service Unavailable</body></html>", "text/html", more)
        doing = {
            "getCCMVersion": self._version, "listUser": self._list, "getUser": self._get,
            "updateUser": self._update, "removeUser": self._remove,
        }.get(called)  # fmt: skip
        try:
            if self.no_memory and not writes:
                self.no_memory -= 1
                raise Refuses(-1, "Maximum AXL Memory Allocation Consumed. Please retry once requests in progress …")
            if doing is None:
                raise Refuses(-1, f"{called} is not known")
            said = doing(asked, version)
        except Refuses as refusal:
            return self._fault(version, called, refusal)
        return Answer(200, _envelope(f'<ns:{called}Response xmlns:ns="{schema.AXL}{version}">'
                                     f"<return>{said}</return></ns:{called}Response>"))  # fmt: skip

    def _fault(self, version: str, called: str, refusal: Refuses) -> Answer:
        words = escape(refusal.words)
        return Answer(500, _envelope(
            f"<soapenv:Fault><faultcode>soapenv:Server</faultcode><faultstring>{words}</faultstring><detail>"
            f'<ns:axlError xmlns:ns="{schema.AXL}{version}"><axlcode>{refusal.code}</axlcode>'
            f"<axlmessage>{words}</axlmessage><request>{called}</request></ns:axlError></detail></soapenv:Fault>"
        ))  # fmt: skip

    def _version(self, asked: ET.Element, version: str) -> str:
        return f"<componentVersion><version>{self.release}</version></componentVersion>"

    def _list(self, asked: ET.Element, version: str) -> str:
        if [one.tag for one in asked][:2] != ["searchCriteria", "returnedTags"] or not len(asked[0]):
            raise Refuses(-1, "a search has criteria, and names what it wants")
        if (wanted := asked.findtext("searchCriteria/userid")) != "%":
            raise Refuses(-1, f"the stand-in knows no other search than for all: {wanted}")
        tags = self._tags(asked[1], schema.of(schema.LISTED, version))
        skip, first = int(asked.findtext("skip", "0")), int(asked.findtext("first", "1000000"))
        rows = self.users[skip : skip + first]
        if len(rows) > self.fits:
            raise Refuses(
                -1, f"Query request too large. Total rows matched: {len(self.users)} rows. "
                f"Suggestive Row Fetch: less than {self.fits} rows"
            )  # fmt: skip
        return "".join(f'<user uuid="{one.uuid}">{_elements(one, tags)}</user>' for one in rows)

    def _get(self, asked: ET.Element, version: str) -> str:
        user = self._whom(asked)
        everything = schema.of(schema.READ, version)
        named = asked.find("returnedTags")
        tags = everything if named is None or not len(named) else self._tags(named, everything)
        return f'<user uuid="{user.uuid}">{_elements(user, tags)}</user>'

    @staticmethod
    def _tags(named: ET.Element, known: list[str]) -> list[str]:
        tags = [one.tag for one in named]
        if not set(tags) <= set(known) or tags != sorted(tags, key=known.index):
            raise Refuses(-1, f"those are no tags of this version, or in another order: {tags}")
        return tags

    def _whom(self, asked: ET.Element) -> User:
        by_id, by_uuid = asked.findtext("userid"), asked.findtext("uuid")
        for one in self.users:
            if by_uuid in (one.uuid, one.uuid.lower()) or (by_uuid is None and one.userid == by_id):
                return one
        raise Refuses(5007, f"Item not valid: The specified User was not found: {by_id or by_uuid}")

    def _update(self, asked: ET.Element, version: str) -> str:
        user = self._whom(asked)
        tags, known = [one.tag for one in asked], schema.of(schema.WRITTEN, version)
        if not set(tags) <= set(known) or tags != sorted(tags, key=known.index):
            raise Refuses(-1, f"updateUser has no such elements, or in another order: {tags}")
        values = {one.tag: one.text or "" for one in asked}
        if user.userid in self.lower_rank:
            raise Refuses(5003, f"You do not have the privilege to update {user.userid} to {values}")
        if user.directory and set(values) & {"firstName", "displayName", "lastName", "mailid", "telephoneNumber"}:
            raise Refuses(-1, f"{user.userid} is synchronized from LDAP: {values}")
        for tag, place in (
            ("firstName", "first"), ("displayName", "display"), ("lastName", "last"), ("mailid", "mail"),
            ("telephoneNumber", "telephone"),
        ):  # fmt: skip
            if tag in values:
                setattr(user, place, values[tag])
        for tag in ("password", "pin", "digestCredentials"):
            if tag in values:
                user.secrets[tag] = values[tag]
        for tag in ("passwordCredentials", "pinCredentials"):
            flags = {one.tag: one.text for one in asked.findall(f"{tag}/*")}
            if any(name.endswith("ResetHackCount") for name in flags) and float(version) < schema.UNLOCKS_SINCE:
                raise Refuses(-1, "this version knows no …ResetHackCount")
            user.must_change |= {tag} if any(name.endswith("MustChange") for name in flags) else set()
            user.unlocked |= {tag} if any(name.endswith("ResetHackCount") for name in flags) else set()
        return user.uuid

    def _remove(self, asked: ET.Element, version: str) -> str:
        user = self._whom(asked)
        if user.userid in self.lower_rank:
            raise Refuses(5003, f"You do not have the privilege to remove this End User {user.userid}")
        self.users.remove(user)
        return user.uuid

    # --- CUPI ---

    def _cupi(self, method: str, path: str, body: bytes) -> Answer:
        kind = "application/xml"
        if (method, path) == ("GET", "/vmrest/users?rowsPerPage=0"):
            self.heard.append("mailboxes")
            return Answer(200, f'<Users total="{len(self.mailboxes)}"/>'.encode(), kind)
        if method == "GET" and (found := re.fullmatch(r"/vmrest/users\?query=\(alias%20is%20(.+)\)", path)):
            self.heard.append("mailbox")
            one = self.mailbox(unquote(found[1]))
            if one is None:
                return Answer(200, b'<Users total="0"/>', kind)
            return Answer(200, (
                f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Users total="1"><User><URI>/vmrest/users/'
                f"{one.object_id}</URI><ObjectId>{one.object_id}</ObjectId><Alias>{escape(one.alias)}</Alias>"
                f"<DisplayName>somebody</DisplayName></User></Users>"
            ).encode(), kind)  # fmt: skip
        if method == "PUT" and (found := re.fullmatch(r"/vmrest/users/([0-9a-f-]{36})/credential/pin", path)):
            self.heard.append("set-mailbox-pin")
            one = next((one for one in self.mailboxes if one.object_id == found[1]), None)
            if one is None:
                return Answer(404, b"<ErrorDetails><errors><code>NOT_FOUND</code></errors></ErrorDetails>", kind)
            told = {e.tag: e.text or "" for e in ET.fromstring(body)}  # noqa: S314  the connector's own request
            if not re.fullmatch(r"[0-9]{6,20}", told.get("Credentials", "")):
                words = f"<ErrorDetails><errors><message>{told}</message></errors></ErrorDetails>"
                return Answer(400, words.encode(), kind)
            one.pin, one.must_change = told["Credentials"], told.get("CredMustChange") == "true"
            one.hack_count = int(told.get("HackCount", one.hack_count))
            return Answer(204)
        self.heard.append(f"{method} {path}")
        return Answer(404, b"<ErrorDetails/>", kind)


def _elements(user: User, tags: list[str]) -> str:
    return "".join(f"<{tag}>{user.value(tag)}</{tag}>" for tag in tags)


def _envelope(inner: str) -> bytes:
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><soapenv:Envelope xmlns:soapenv=\"{schema.SOAP}\"><soapenv:Body>"
        f"{inner}</soapenv:Body></soapenv:Envelope>"
    ).encode()


_SHOWN = {"firstName", "displayName", "lastName", "userid", "mailid", "primaryExtension", "telephoneNumber",
          "ldapDirectoryName"}  # fmt: skip
_LISTED = _SHOWN - {"displayName", "ldapDirectoryName"}


def _template(asked: ET.Element, version: str) -> str:
    """Which request of the list it was; its own words for one that is none."""
    called = asked.tag.rpartition("}")[2]
    tags = [one.tag for one in asked]
    wanted = {one.tag for one in asked.findall("returnedTags/*")}
    named = set(tags) - {"uuid"}
    match called:
        case "getCCMVersion" if not tags:
            return "version"
        case "listUser" if wanted == _LISTED:
            return "users"
        case "getUser" if wanted == {"userid", "associatedDevices"}:
            return "user-devices"
        case "getUser" if wanted == _SHOWN & set(schema.of(schema.READ, version)):
            return "user"
        case "updateUser" if "uuid" in tags and named <= _SHOWN - {"ldapDirectoryName", "userid"}:
            return "set-person"
        case "updateUser" if named == {"password", "passwordCredentials"}:
            return "set-password"
        case "updateUser" if named == {"pin", "pinCredentials"}:
            return "set-pin"
        case "updateUser" if named == {"digestCredentials"}:
            return "set-digest"
        case "removeUser" if tags == ["uuid"]:
            return "remove-user"
    return f"{called} {tags} {sorted(wanted)}"
