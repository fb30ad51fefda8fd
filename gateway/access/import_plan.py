"""What one customer's rows would change: pure, from what is held and what the rows say. Nothing is read or written.

Each row gives a `Step`: add, change (from → to), same, or refused with the reason. Carrying out a step is
importing.py's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Table

from audit.events import Event, Personal
from connectors.contract import NO_CONNECTOR, Credential
from connectors.registry import families
from gateway.access import columns
from gateway.access.columns import Refused
from gateway.access.directory import NAME_EACH_OTHER
from gateway.lifecycle import AgreementState
from gateway.model import Agreement, Hours, Terms, new_id
from gateway.store.tables import agreements, approvers, contacts, customers, sites, systems
from gateway.vault import Vault

Values = dict[str, Any]
NO_CREDENTIAL: Final = "no credential yet: `frameroom system credential`"
NO_KEY: Final = "no host key yet"
CLOSED: Final = "closed until confirmed: `frameroom agreement confirm`"


@dataclass(slots=True)
class Held:
    """What there is of one customer. Names are keys without case; `region` None where there is no customer yet."""

    customer_id: str
    name: str
    region: str | None = None
    sites: dict[str, Values] = field(default_factory=dict)
    systems: dict[str, Values] = field(default_factory=dict)
    contacts: dict[str, Values] = field(default_factory=dict)
    approvers: dict[str, Values] = field(default_factory=dict)
    agreement: Agreement | None = None
    had_keys: bool = False


@dataclass(slots=True)
class Step:
    """What one row comes to, with all that carrying it out would write."""

    result: str
    words: str = ""
    inserts: list[tuple[Table, Values]] = field(default_factory=list)
    updates: list[tuple[Table, str, Values]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


_REACHING: Final = ("host", "port", "host key", "credential")


def _from_to(changes: Mapping[str, tuple[Any, Any]]) -> str:
    def word(value: Any) -> str:
        return ("yes" if value else "no") if isinstance(value, bool) else str(value or "nothing")

    told = ((name.replace("marketing_out", "no marketing"), pair) for name, pair in changes.items())
    return "; ".join(f"{name}: {word(was)} → {word(becomes)}" for name, (was, becomes) in told)


def _differs(held: Values, wanted: Values) -> dict[str, tuple[Any, Any]]:
    return {k: (held[k], value) for k, value in wanted.items() if held[k] != value}


class Planner:
    """Plans the rows of one customer in order, so that a later row sees what an earlier one will have added."""

    def __init__(self, held: Held, actor: str, vault: Vault, company_domains: tuple[str, ...], now_ms: int) -> None:
        self.held, self._actor, self._vault, self._now = held, actor, vault, now_ms
        self._company = {domain.lower() for domain in company_domains}
        self._of = {
            "customer": self._customer, "site": self._site, "agreement": self._agreement, "system": self._system,
            "contact": self._contact, "approver": self._approver,
        }  # fmt: skip

    def step(self, kind: str, cells: Mapping[str, str], credential: Mapping[str, str | None] | None) -> Step:
        """One row's step; a row that cannot be taken is a step too, "refused"."""
        if self.held.region is None and kind != "customer":
            return Step("refused", f"no customer is called {self.held.name}")
        region = self.held.region or cells.get("region", "").casefold() or "uk"
        try:
            values: Values = dict(columns.checked(kind, cells, region))
            if kind == "system" and credential is not None:
                values["credential"] = credential
            return self._of[kind](values)
        except Refused as error:
            return Step("refused", str(error))

    def _event(self, kind: str, **rest: Any) -> Event:
        return Event(kind, self.held.customer_id, self._actor, **rest)

    def _row(self, **values: Any) -> Values:
        return {"customer_id": self.held.customer_id, **values}

    @staticmethod
    def _complete(kind: str, values: Values) -> None:
        if lacking := columns.missing(kind, values):
            raise Refused(f"to be added it needs {', '.join(lacking)}")

    # --- customer, site ---

    def _customer(self, values: Values) -> Step:
        held = self.held
        if held.region is None:
            held.region = values.get("region", "uk")
            data, key = {"region": held.region}, f"customer:{held.customer_id}"
            row = {"id": held.customer_id, "name": held.name, "region": held.region, "added_ms": self._now}
            event = self._event("customer.added", data=data, personal=(Personal("name", held.name, key),))
            return Step("add", inserts=[(customers, row)], events=[event])
        if values.get("region", held.region) != held.region:
            raise Refused(f"its region is {held.region}, and data never moves to another")
        return Step("same")

    def _site(self, values: Values) -> Step:
        name = values.get("site")
        if not name:
            raise Refused("site: a site has a name")
        wanted: Values = {k: values[k] for k in ("town", "postcode") if k in values}
        found = self.held.sites.get(name.casefold())
        if found is None:
            row = self._row(id=new_id("sit"), name=name, **({"town": "", "postcode": ""} | wanted))
            self.held.sites[name.casefold()] = row
            return Step("add", inserts=[(sites, row)], events=[self._site_event("site.added", row)])
        changes = _differs(found, wanted)
        if not changes:
            return Step("same")
        found.update(wanted)
        event = self._site_event("site.changed", found)
        return Step("change", _from_to(changes), [], [(sites, found["id"], wanted)], [event])

    def _site_event(self, kind: str, row: Values) -> Event:
        key = f"customer:{self.held.customer_id}"
        personal = tuple(Personal(name, row[name], key) for name in ("name", "town", "postcode"))
        return self._event(kind, data={"site": row["id"]}, personal=personal)

    # --- people ---

    def _contact(self, values: Values) -> Step:
        if "no marketing" in values:
            values["marketing_out"] = values.pop("no marketing") == "yes"
            held = self.held.contacts.get(values.get("email", "").casefold())
            if held is None or held["marketing_out"] != values["marketing_out"]:
                values["marketing_ms"] = self._now if values["marketing_out"] else None
        names = ("name", "phone", "mobile", "position", "notices", "standing", "marketing_out", "marketing_ms")
        return self._person("contact", contacts, self.held.contacts, values, names)

    def _approver(self, values: Values) -> Step:
        email = values.get("email", "")
        if email.rpartition("@")[2] in self._company:
            raise Refused("an address of the maintenance company cannot approve for a customer")
        found = self.held.approvers.get(email.casefold())
        if found is None and self.held.had_keys:
            raise Refused(f"{NAME_EACH_OTHER} Ask one of them to open the portal, under People.")
        if found is not None and values.get("name", found["name"]) != found["name"]:
            # A yes is a person's: another name is another person, who is added openly.
            raise Refused(f"{email} approves as {found['name']}; another person: remove that approver first")
        return self._person("approver", approvers, self.held.approvers, values, ("name", "phone"))

    def _person(
        self, kind: str, table: Table, held: dict[str, Values], values: Values, names: tuple[str, ...]
    ) -> Step:  # fmt: skip
        email = values.get("email", "")
        if not email:
            raise Refused("email: the address tells who it is")
        wanted = {k: values[k] for k in names if k in values}
        found = held.get(email.casefold())
        if found is None:
            self._complete(kind, values)
            contact: Values = {
                "position": "", "mobile": "", "notices": "each", "standing": "current", "marketing_out": False,
                "marketing_ms": None,
            }  # fmt: skip
            plain: Values = {"name": "", "phone": ""}
            plain |= contact if kind == "contact" else {"added_ms": self._now, "confirmed_by": None}
            row = self._row(id=new_id("con" if kind == "contact" else "apr"), email=email, **(plain | wanted))
            held[email.casefold()] = row
            return Step("add", inserts=[(table, row)], events=[self._person_event(f"{kind}.added", kind, row)])
        changes = _differs(found, wanted)
        changes.pop("marketing_ms", None)
        if not changes:
            return Step("same")
        found.update(wanted)
        event = self._person_event(f"{kind}.changed", kind, found)
        return Step("change", _from_to(changes), [], [(table, found["id"], wanted)], [event])

    def _person_event(self, name: str, kind: str, row: Values) -> Event:
        fields: tuple[str, ...] = ("name", "email", "phone")
        data = {kind: row["id"]}
        if kind == "contact":
            fields += ("mobile", "position")
            data |= {name: row[name] for name in ("notices", "standing", "marketing_out")}
        personal = tuple(Personal(f, row[f], f"subject:{row['id']}") for f in fields)
        return self._event(name, data=data, personal=personal)

    # --- phone system ---

    def _system(self, values: Values) -> Step:
        name = values.get("system")
        if not name:
            raise Refused("system: a phone system has a name")
        found = self.held.systems.get(name.casefold())
        connector = found["connector"] if found else values.get("connector")
        if connector == NO_CONNECTOR and (beyond := [of for of in _REACHING if values.get(of)]):
            raise Refused(f"{beyond[0]}: a phone system without a connector is not reached, and takes none")
        family = families().get(connector or "")
        if "settings" in values and family is not None:
            try:
                family.settings_model.model_validate_json(values["settings"])
            except ValidationError as error:
                first = error.errors(include_input=False)[0]
                place = ".".join(map(str, first["loc"]))
                raise Refused(f"settings: {place}: {first['msg']}") from error
        names = {"host": "host", "host key": "pin", "asset": "asset", "ddi range": "ddi_range", "settings": "settings"}
        wanted: Values = {to: values[of] for of, to in names.items() if of in values}
        if "port" in values:
            wanted["port"] = int(values["port"])
        return self._new_system(name, values, wanted) if found is None else self._old_system(found, values, wanted)

    def _site_of(self, step: Step, values: Values, wanted: Values) -> None:
        """The site that a phone system's row names, added when it is new."""
        if "site" in values:
            site = self._site({"site": values["site"]})
            step.inserts += site.inserts
            step.events += site.events
            wanted["site_id"] = self.held.sites[values["site"].casefold()]["id"]

    def _sealed(self, system_id: str, given: Values) -> bytes:
        # A plan is shown without the credential itself: it only says that there is one.
        login, password, key = (given.get(name) for name in ("login", "password", "private_key"))
        credential = Credential(login or "", password, key)
        return self._vault.seal_credential(self.held.customer_id, system_id, credential)

    def _new_system(self, name: str, values: Values, wanted: Values) -> Step:
        alone = values.get("connector") == NO_CONNECTOR
        self._complete("system", {"host": "nowhere", **values} if alone else values)
        system_id, family = new_id("sys"), families()[values["connector"]]
        step = Step("add")
        self._site_of(step, values, wanted)
        given = values.get("credential")
        plain: Values = {"port": family.default_port, "settings": "{}"}
        plain |= dict.fromkeys(("host", "pin", "asset", "ddi_range"), "")
        sealed = self._sealed(system_id, given) if given else b""
        row = self._row(
            id=system_id, name=name, connector=family.name, credential=sealed, **({"site_id": None} | plain | wanted)
        )
        self.held.systems[name.casefold()] = row
        secrecy = [f"{k.value}:{s.value}" for k, s in family.capabilities().secrecy.items()]
        key = f"customer:{self.held.customer_id}"
        data = {"connector": family.name, "secrecy": secrecy, "pin": self._vault.digest("pin", row["pin"])}
        personal = (Personal("name", name, key), Personal("host", row["host"], key))
        step.inserts.append((systems, row))
        step.events.append(self._event("system.added", system=system_id, data=data, personal=personal))
        step.words = self._lacks(row)
        return step

    @staticmethod
    def _lacks(row: Values) -> str:
        """What stands between this phone system and its first visit."""
        if row["connector"] == NO_CONNECTOR:
            return ""
        said = [] if row["pin"] else [NO_KEY]
        return "; ".join(said if row["credential"] else [*said, NO_CREDENTIAL])

    def _old_system(self, found: Values, values: Values, wanted: Values) -> Step:
        if values.get("connector", found["connector"]) != found["connector"]:
            raise Refused(f"its connector is {found['connector']}; another one is another phone system: add that")
        step, system_id = Step("same"), found["id"]
        self._site_of(step, values, wanted)
        if "settings" in wanted and json.loads(wanted["settings"]) == json.loads(found["settings"]):
            del wanted["settings"]
        changes = _differs(found, wanted)
        if "site_id" in changes:
            names = {row["id"]: row["name"] for row in self.held.sites.values()}
            changes["site"] = (names.get(changes["site_id"][0]), names[changes.pop("site_id")[1]])
        if "credential" in values and not found["credential"]:
            wanted["credential"] = self._sealed(system_id, values["credential"])
            changes["credential"] = (None, "from its file")
        found.update(wanted)
        if changes:
            key = f"customer:{self.held.customer_id}"
            data: Values = {"what": sorted(changes)}
            if "pin" in changes:
                data["pin"] = self._vault.digest("pin", found["pin"])
            personal = (Personal("host", found["host"], key),) if "host" in changes else ()
            step.result = "change"
            step.updates.append((systems, system_id, wanted))
            step.events.append(self._event("system.changed", system=system_id, data=data, personal=personal))
        step.words = "; ".join(filter(None, (_from_to(changes), self._lacks(found))))
        return step

    # --- agreement ---

    def _agreement(self, values: Values) -> Step:
        held = self.held.agreement
        if held is None:
            self._complete("agreement", {"customer": self.held.name, **values})
        terms = self._terms(held.terms if held else None, values)
        if held is not None and held.terms == terms:
            return Step("same", "" if held.state is AgreementState.CONFIRMED else CLOSED)
        version = held.version + 1 if held else 1
        text = terms.model_dump_json()
        row = self._row(id=new_id("agr"), version=version, state=AgreementState.DRAFT, terms=text)
        data = {
            "version": version, "digest": self._vault.digest("terms", text), "operations": sorted(terms.operations),
            "consent_by_phone": terms.consent_by_phone, "approvals_needed": terms.approvals_needed,
            "standing": sorted(terms.standing), "max_minutes": terms.max_minutes,
        }  # fmt: skip
        event = self._event("agreement.set", data=data)
        self.held.agreement = Agreement(self.held.customer_id, version, AgreementState.DRAFT, terms)
        old, new = (_in_words(held.terms) if held else {}), _in_words(terms)
        changes = {name: (old[name], new[name]) for name in old if old[name] != new[name]}
        words = "; ".join(filter(None, (_from_to(changes), CLOSED)))
        return Step("change" if held else "add", words, [(agreements, row)], [], [event])

    @staticmethod
    def _terms(held: Terms | None, values: Values) -> Terms:
        given: Values = held.model_dump() if held else {}
        for name, of in (
            ("ticket_required", "ticket"), ("consent_by_phone", "consent by phone"),
            ("only_approver_may_receive", "only approver may receive"),
        ):  # fmt: skip
            if of in values:
                given[name] = values[of] == "yes"
        if "operations" in values:
            given["operations"] = values["operations"].split()
        if "mail domains" in values:
            given["mail_domains"] = tuple(values["mail domains"].split())
        if "zone" in values:
            given["zone"] = values["zone"]
        if "longest visit" in values:
            given["max_minutes"] = int(values["longest visit"])
        if "approvals needed" in values:
            given["approvals_needed"] = int(values["approvals needed"])
        given |= _of_secrets(values)
        if values.keys() & {"days", "from", "to"}:
            hours: Values = given.get("hours") or Hours().model_dump()
            hours |= {
                name: int(values[of][:2]) * 60 + int(values[of][3:])
                for of, name in (("from", "start_minute"), ("to", "end_minute")) if of in values
            }  # fmt: skip
            if "days" in values:
                hours["weekdays"] = [int(day) for day in values["days"].split()]
            if hours["start_minute"] >= hours["end_minute"]:
                raise Refused("from, to: working hours end before they begin")
            given["hours"] = hours
        try:
            return Terms.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            raise Refused(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _of_secrets(values: Values) -> Values:
    """What the columns about new passwords say, as terms; a cell says all of it, for every kind of password."""
    given: Values = {}
    for name, of in (("secret_lengths", "secret lengths"), ("secret_classes", "secret classes")):
        if of in values:
            words = [] if values[of] == "none" else values[of].split()
            given[name] = dict(zip(words[::2], words[1::2], strict=True))
    if "secret_lengths" in given:
        given["secret_lengths"] = {kind: int(length) for kind, length in given["secret_lengths"].items()}
    if "secret_classes" in given:
        given["secret_classes"] = {kind: known.split(",") for kind, known in given["secret_classes"].items()}
    return given


def _in_words(terms: Terms) -> dict[str, str]:
    """Each term as a person reads it."""

    def words(value: Any) -> str:
        match value:
            case bool():
                return "yes" if value else "no"
            case frozenset() | tuple() | list():
                return " ".join(sorted(map(str, value)))
            case dict():
                return ", ".join(f"{k} {words(v)}" for k, v in sorted(value.items()))
            case None:
                return ""
            case _:
                return str(value)

    return {name: words(value) for name, value in terms.model_dump().items()}
