"""A phone system is tried before it is saved: reached, known by its pin, come in to, with what was typed for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from connectors.contract import CheckLine, Credential, Family, ReadsLogins, Target
from connectors.errors import ConnectorError, CredentialRefused, Unreachable
from gateway.access.dials import Dials, place_of
from gateway.errors import InvalidError, StateError
from gateway.model import PhoneSystem
from gateway.wiring.admin.base import Row
from gateway.wiring.admin.walking import Walk
from gateway.wiring.login_watch import LoginWatch

_OPTIONS = {"key": "--key-file", "password": "--password-file"}


def check_credential(family: Family, given: Mapping[str, str | None]) -> None:
    """InvalidError for a kind of credential ("key", "password") that is missing, or that this family has no use for:
    it would seem to be used."""
    takes = family.capabilities().credential
    needed = [kind for kind in takes if takes[kind]]
    if missing := [kind for kind in needed if given[kind] is None]:
        raise InvalidError(f"it has no {missing[0]}", next_step=f"Give {_OPTIONS[missing[0]]}.")
    if beyond := [kind for kind in given if kind not in takes and given[kind] is not None]:
        raise InvalidError(f"{family.name} takes no {beyond[0]}", next_step=f"Leave {_OPTIONS[beyond[0]]} out.")
    if not any(given.values()):
        raise InvalidError("it has no credential", next_step=f"Give {' or '.join(_OPTIONS[kind] for kind in takes)}.")


def not_as_it_should_be(lines: Sequence[CheckLine]) -> Row:
    """What a trial that came in found nevertheless, to be shown with what was saved."""
    wrong = [f"{line.what}: {line.words}" for line in lines if not line.ok]
    return {"not as it should be": wrong} if wrong else {}


def _next(error: ConnectorError) -> str:
    """What to do next of whoever typed it."""
    if isinstance(error, Unreachable):
        return "Where it is not in place yet: --untried."
    if error.next_step == CredentialRefused.default_next:
        return "Look at --login and at the file of the credential."
    return error.next_step


def _refused(kept: str, walk: Walk, error: ConnectorError) -> StateError:
    return StateError(f"it was tried, and {kept}: {walk.in_short(error)}", next_step=_next(error))


async def tried(
    family: Family, customer_id: str, values: Mapping[str, Any], credential: Credential, dials: Dials
) -> tuple[list[CheckLine], str | None]:
    """What `system check` would say, and the id of the dial, where the phone system's record of logins will show it.
    StateError where it cannot be come in to; that login is ours all the same, whenever the phone system is added."""
    settings = family.settings_model.model_validate_json(values["settings"])
    target = Target("new", values["host"], values["port"], values["pin"], settings)
    dial = None
    if family.capabilities().login_record:
        dial = await dials.trial(customer_id, place_of(family.name, target.host, target.port))
        target = replace(target, mark=dial.mark)

    async def unseal() -> Credential:
        return credential

    walk = Walk()
    try:
        connector = await family.connect(target, walk.unsealing(unseal))
        walk.came_in()
        try:
            if dial is not None and isinstance(connector, ReadsLogins):
                await dials.named(dial, await connector.own_login())
            lines = list(await connector.check())
        finally:
            await connector.close()
    except ConnectorError as error:
        raise _refused("nothing was saved", walk, error) from error
    return lines, None if dial is None else dial.id


async def tried_again(watch: LoginWatch, system: PhoneSystem, credential: Credential) -> list[CheckLine]:
    """The same of another credential for a phone system that there is. StateError where it does not come in."""

    async def unseal() -> Credential:
        return credential

    walk = Walk()
    try:
        connector = await watch.connect(system, "check", walk.unsealing(unseal))
        walk.came_in()
        try:
            return list(await connector.check())
        finally:
            await connector.close()
    except ConnectorError as error:
        raise _refused("what was kept stays", walk, error) from error
