"""A phone system read for its customer: from a real one, and what is said when it is not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from connectors.contract import Credential, Person
from connectors.lab import server as lab_server
from connectors.lab.server import LOGIN
from gateway.access.dials import Dials
from gateway.access.people_reader import PeopleReader
from gateway.errors import StateError, UnavailableError
from gateway.model import PhoneSystem
from gateway.store.engine import Store
from gateway.store.login_tables import dials
from tests.support.furnished import furnish


async def everybody(reader: PeopleReader, system: PhoneSystem) -> list[Person]:
    return [person async for page in reader.pages(system) for person in page]


async def test_everybody_of_a_real_phone_system_and_its_refusals_in_words(store: Store, tmp_path: Path) -> None:
    brook = await furnish(store, tmp_path)
    reader = PeopleReader(Dials(brook.store, brook.clock), brook.vault)
    async with lab_server.start(tmp_path / "lab") as lab:
        sealed = brook.vault.seal_credential(
            brook.customer, brook.system.id, Credential(LOGIN, private_key=lab.client_key)
        )
        system = replace(
            brook.system, host="127.0.0.1", port=lab.ssh_port, pin=lab.host_key, sealed_credential=sealed
        )  # fmt: skip
        people = await everybody(reader, system)
        assert len({person.id for person in people}) == len(people) > 30
        # What the phone system's own record of logins will show was ours, and says so.
        (dial,) = await brook.rows(dials)
        assert (dial.why, dial.login is not None) == ("addresses", True)
        with pytest.raises(UnavailableError, match="could not be read"):
            await everybody(reader, replace(system, pin="ssh-ed25519 AAAA"))
        with pytest.raises(StateError, match="no credential"):
            await everybody(reader, replace(system, sealed_credential=b""))
        with pytest.raises(UnavailableError, match="cannot be read here"):
            await everybody(reader, replace(system, connector="gone"))
    with pytest.raises(UnavailableError, match="could not be read") as refused:
        await everybody(reader, system)
    assert "maintainer" in (refused.value.next_step or "")
