"""The lab's own memory: forty invented people in a JSON file, written whole and durably at every change.

Every secret in it is a canary: a value that appears nowhere else, so that finding it anywhere is a leak.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

NAMES: Final = (
    "Grace Okonkwo", "Tomás Álvarez", "Priya Raghunathan", "Siobhán O'Brien", "Jürgen Weiß", "Nguyễn Văn An",
    "Martha Lindqvist", "Dmitri Volkov", "Ana Beatriz da Silva", "Kwame Mensah", "李 小龍", "Fatima El Amrani",
    "John Smith", "John Smith", "Hannah Goldberg", "Reception", "Carlos Mendes", "Yuki Tanaka", "Alice Wong",
    "Bob Fletcher", "ليلى حداد", "דוד כהן", "Ömer Yıldız", "Zoë de Vries", "Łukasz Nowak", "Ingrid Åberg",
    "Rhys ap Gwilym", "Mary-Kate Doyle", "Amara Nwosu", "Pietro D'Angelo", "Sven Östlund", "Chloé Dupont",
    "Ravi Iyer", "Noor Rahman", "Elena Petrova", "Mateusz Wójcik", "Leilani Kahale", "Owen Price", "Ida Holm",
    "Kit van der Berg",
)  # fmt: skip
DOMAIN: Final = "customer.example"


def _person(number: int) -> dict[str, Any]:
    extension = str(2001 + number)
    name = NAMES[number % len(NAMES)]
    if number >= len(NAMES):
        name = f"{name} {number}"
    return {
        "id": "alice.wong" if number == 18 else extension,
        "extension": extension,
        "name": name,
        "email": None if number in (15, 22) else f"user{extension}@{DOMAIN}",
        "ddis": [] if number == 7 else [f"+44207946{number:04d}"] + (["+442079469999"] if number == 19 else []),
        "sip": f"CANARY-sip-{extension}-5e1",
        "pin": f"226{extension}91",
        "portal": f"CANARY-portal-{extension}-5e1",
        "must_change": False,
    }


class LabStore:
    """People by id. Methods return copies without secrets, but for those that only the lab itself calls."""

    def __init__(self, path: Path, people: int | Iterable[dict[str, Any]] = 40) -> None:
        self._path = path
        self._contacts: dict[str, dict[str, float]] = {}
        if path.exists():
            self._people: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        else:
            new = map(_person, range(people)) if isinstance(people, int) else people
            self._people = {p["id"]: p for p in new}
            self.save()

    def save(self) -> None:
        """Write the file whole, durably."""
        temporary = self._path.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(self._people, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o600)
        temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def canaries(self) -> list[str]:
        """Every secret it holds now: for tests and for nobody else."""
        return [str(p[kind]) for p in self._people.values() for kind in ("sip", "pin", "portal")]

    @staticmethod
    def _shown(person: dict[str, Any]) -> dict[str, Any]:
        return {key: person[key] for key in ("id", "extension", "name", "email", "ddis")}

    def get(self, person_id: str) -> dict[str, Any] | None:
        """One person without secrets."""
        person = self._people.get(person_id)
        return None if person is None else self._shown(person)

    def page(self, cursor: str | None, limit: int) -> list[dict[str, Any]]:
        """People after `cursor`, by id."""
        ids = sorted(i for i in self._people if cursor is None or i > cursor)[:limit]
        return [self._shown(self._people[i]) for i in ids]

    def find(self, words: list[str], limit: int) -> list[dict[str, Any]]:
        """People of whom every word is a part."""
        found = []
        for person in self._people.values():
            text = " ".join([person["extension"], person["name"], person["email"] or "", *person["ddis"]]).casefold()
            if all(word in text for word in words):
                found.append(self._shown(person))
                if len(found) == limit:
                    break
        return found

    def named(self, names: set[str]) -> list[dict[str, Any]]:
        """People whose id, extension or direct number is one of these."""
        people = self._people.values()
        return [self._shown(p) for p in people if not names.isdisjoint((p["id"], p["extension"], *p["ddis"]))]

    def alter(self, person_id: str, values: dict[str, Any]) -> None:
        """Write name, email, ddis."""
        self._people[person_id] |= {key: values[key] for key in ("name", "email", "ddis") if key in values}
        self.save()

    def taken(self, person_id: str, ddis: list[str]) -> bool:
        """Whether one of these numbers already rings at somebody else's telephone."""
        return any(number in p["ddis"] for number in ddis for p in self._people.values() if p["id"] != person_id)

    def remove(self, person_id: str) -> None:
        """Take a person away with their registrations."""
        del self._people[person_id]
        self._contacts.pop(person_id, None)
        self.save()

    def reset(self, person_id: str, kind: str, value: str) -> None:
        """Write a new secret; a PIN must be changed at its first use."""
        self._people[person_id][{"sip": "sip", "voicemail": "pin", "portal": "portal"}[kind]] = value
        if kind == "voicemail":
            self._people[person_id]["must_change"] = True
        self.save()

    def sip_secret(self, person_id: str) -> str | None:
        """For the registrar."""
        person = self._people.get(person_id)
        return None if person is None else str(person["sip"])

    def register(self, person_id: str, address: str, expires: int) -> None:
        """A telephone registered, or (0 s) went away."""
        contacts = self._contacts.setdefault(person_id, {})
        contacts.pop(address, None)
        if expires:
            contacts[address] = time.time() + expires

    def contacts(self, person_id: str) -> dict[str, float]:
        """Registered telephones: address → Unix seconds when they expire."""
        now = time.time()
        return {a: t for a, t in self._contacts.get(person_id, {}).items() if t > now}

    def whole(self, person_id: str) -> dict[str, Any] | None:
        """One person with secrets: for tests, which look from behind."""
        return self._people.get(person_id)

    def everyone(self) -> list[dict[str, Any]]:
        """For the console, which like a real one knows the secrets."""
        return list(self._people.values())
