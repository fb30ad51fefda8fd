"""Engineers: their keys, their second factor, and signing in."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, func, insert, select, update

from audit.events import OPERATOR_LOG, Event, Personal
from audit.log import AuditLog
from gateway.choices import ROLES
from gateway.errors import ConflictError, InvalidError, NotFoundError
from gateway.identity.totp import new_secret, step_of, wait_ms
from gateway.model import Engineer, is_address, new_id
from gateway.store.engine import Scope, Store
from gateway.store.tables import backup_codes, engineer_keys, engineers
from gateway.vault import Vault

_LOGIN = re.compile(r"[a-z][a-z0-9._-]{0,63}")


def parse_public_key(line: str) -> tuple[str, str]:
    """(fingerprint, key line) of an OpenSSH public key. InvalidError says what is wrong with it."""
    if "PRIVATE KEY" in line:
        raise InvalidError(
            "that is a private key", next_step="Give the .pub file, and make a new key: this one has been shown around."
        )
    import asyncssh  # nothing else here needs it

    try:
        key = asyncssh.import_public_key(line.strip())
    except asyncssh.KeyImportError as error:
        raise InvalidError("that is not a public key", next_step='It looks like "ssh-ed25519 AAAA… name".') from error
    algorithm = key.get_algorithm()
    bits = int(getattr(key.pyca_key, "key_size", 0)) if algorithm == "ssh-rsa" else 0
    if algorithm == "ssh-dss" or (algorithm == "ssh-rsa" and bits < 3072):
        raise InvalidError("that key is too weak", next_step="Use Ed25519, ECDSA, FIDO2 or RSA of 3072 bits or more.")
    return key.get_fingerprint(), key.export_public_key().decode().strip()


@dataclass(frozen=True, slots=True)
class Held:
    """What an engineer has to sign in with: keys as (fingerprint, kind, added Unix ms), and second factors."""

    keys: tuple[tuple[str, str, int], ...]
    totp: bool
    codes_left: int
    locked_until_ms: int
    """0 when wrong codes have not locked them out."""


def _known_roles(roles: frozenset[str]) -> None:
    if unknown := sorted(roles - ROLES.keys()):
        raise InvalidError(f"{unknown[0]} is not a role", next_step=f"There are: {', '.join(ROLES)}.")


_BY_KEY: Final = (  # built once: every connection asks it
    select(engineers.c.id, engineers.c.name)
    .join(engineer_keys, engineers.c.id == engineer_keys.c.engineer_id)
    .where(
        engineers.c.login == bindparam("of_login"), engineers.c.enabled,
        engineer_keys.c.fingerprint == bindparam("of_fingerprint"),
    )
)  # fmt: skip


_STILL: Final = (  # built once: asked each second
    select(engineers.c.id, engineer_keys.c.fingerprint)
    .join(engineer_keys, engineers.c.id == engineer_keys.c.engineer_id, isouter=True)
    .where(engineers.c.id.in_(bindparam("of_engineers", expanding=True)), engineers.c.enabled)
)


def _is_key(fingerprint: str) -> bool:
    """True for a key's fingerprint; false for the name of a certificate, whose key nobody registers."""
    return fingerprint.startswith("SHA256:")


def engineer_of(row: Any) -> Engineer:
    """The value of a table's row."""
    return Engineer(row.id, row.login, row.name, row.email, row.enabled, frozenset(row.roles.split()))


class Engineers:
    """The registry of engineers, and the door's authenticator."""

    def __init__(self, store: Store, audit: AuditLog, vault: Vault) -> None:
        self._store, self._audit, self._vault = store, audit, vault
        self._refused: Counter[tuple[str, str, str]] = Counter()
        self._known: dict[str, tuple[str, str]] = {}

    async def add(self, actor: str, login: str, name: str, email: str, roles: frozenset[str]) -> Engineer:
        """Add an engineer. ConflictError when the login is taken, InvalidError for what cannot be one."""
        if not _LOGIN.fullmatch(login):
            raise InvalidError(
                "a login has small letters, digits, dots and dashes, at most 64, and begins with a letter",
                next_step="It looks like ana or a.silva.",
            )
        if not name.strip():
            raise InvalidError("an engineer has a name")
        if not is_address(email):
            raise InvalidError(f"{email} is no mail address", next_step="It looks like ana@company.example.")
        _known_roles(roles)
        engineer = Engineer(new_id("eng"), login, name, email, True, roles)
        async with self._store.operator_log() as scope:
            taken = await scope.execute(select(engineers.c.id).where(engineers.c.login == login))
            if taken.first() is not None:
                raise ConflictError(f"the login {login} is taken", next_step="Choose another one.")
            await scope.execute(
                insert(engineers).values(
                    id=engineer.id, login=login, name=name, email=email, enabled=True, roles=" ".join(sorted(roles)),
                    totp_last_step=0, failures=0, locked_until_ms=0,
                )
            )  # fmt: skip
            key = f"engineer:{engineer.id}"
            await self._log(
                scope, "engineer.added", actor, {"engineer": engineer.id, "roles": sorted(roles)},
                Personal("name", name, key), Personal("email", email, key),
            )  # fmt: skip
        return engineer

    async def _log(self, scope: Scope, kind: str, actor: str, data: dict[str, Any], *personal: Personal) -> None:
        await self._audit.append(scope.connection, Event(kind, OPERATOR_LOG, actor, data=data, personal=personal))

    async def by_login(self, scope: Scope, login: str) -> Engineer:
        """NotFoundError when there is none."""
        row = (await scope.execute(select(engineers).where(engineers.c.login == login))).first()
        if row is None:
            raise NotFoundError(f"no engineer has the login {login}", next_step="`frameroom engineer list` shows them.")
        return engineer_of(row)

    async def all(self) -> list[Engineer]:
        """Every engineer by login."""
        async with self._store.look(OPERATOR_LOG) as scope:
            return [engineer_of(r) for r in await scope.execute(select(engineers).order_by(engineers.c.login))]

    async def add_key(self, actor: str, login: str, line: str) -> str:
        """Give an engineer a key; its fingerprint."""
        fingerprint, exported = parse_public_key(line)
        async with self._store.operator_log() as scope:
            engineer = await self.by_login(scope, login)
            held = select(engineer_keys).where(engineer_keys.c.fingerprint == fingerprint)
            if (await scope.execute(held)).first() is not None:
                raise ConflictError("that key is registered already", next_step="One key belongs to one engineer.")
            await scope.execute(
                insert(engineer_keys).values(
                    engineer_id=engineer.id, fingerprint=fingerprint, public_key=exported,
                    added_ms=self._audit.clock.now(),
                )
            )  # fmt: skip
            kind = exported.split(" ", 1)[0]
            data = {"engineer": engineer.id, "fingerprint": fingerprint, "kind": kind}
            await self._log(scope, "engineer.key_added", actor, data)
        return fingerprint

    async def remove_key(self, actor: str, login: str, fingerprint: str) -> None:
        """Take a key away: nobody signs in with it any more. NotFoundError when the engineer has no such key."""
        async with self._store.operator_log() as scope:
            engineer = await self.by_login(scope, login)
            here = (engineer_keys.c.engineer_id == engineer.id) & (engineer_keys.c.fingerprint == fingerprint)
            if not (await scope.execute(engineer_keys.delete().where(here))).rowcount:
                raise NotFoundError(
                    f"{login} has no key {fingerprint}", next_step=f"`frameroom engineer key list {login}` shows them."
                )
            data = {"engineer": engineer.id, "fingerprint": fingerprint}
            await self._log(scope, "engineer.key_removed", actor, data)

    async def held(self, login: str) -> Held:
        """What the engineer signs in with. NotFoundError when there is none of that login."""
        async with self._store.look(OPERATOR_LOG) as scope:
            query = select(engineers).where(engineers.c.id == (await self.by_login(scope, login)).id)
            row = (await scope.execute(query)).one()
            mine = select(engineer_keys).where(engineer_keys.c.engineer_id == row.id)
            keys = await scope.execute(mine.order_by(engineer_keys.c.added_ms, engineer_keys.c.fingerprint))
            unused = (backup_codes.c.engineer_id == row.id) & backup_codes.c.used_ms.is_(None)
            codes = await scope.execute(select(func.count()).select_from(backup_codes).where(unused))
            return Held(
                tuple((k.fingerprint, k.public_key.split(" ", 1)[0], k.added_ms) for k in keys),
                row.totp_sealed is not None, codes.scalar_one(), row.locked_until_ms,
            )  # fmt: skip

    async def set_role(self, actor: str, login: str, role: str, given: bool) -> frozenset[str]:
        """Give or take a role; the roles then held. InvalidError for one that nothing asks for."""
        _known_roles(frozenset({role}))
        async with self._store.operator_log() as scope:
            engineer = await self.by_login(scope, login)
            roles = engineer.roles | {role} if given else engineer.roles - {role}
            if roles != engineer.roles:
                values = {"roles": " ".join(sorted(roles))}
                await scope.execute(update(engineers).where(engineers.c.id == engineer.id).values(**values))
                what = f"role {role} {'given' if given else 'taken'}"
                await self._log(scope, "engineer.changed", actor, {"engineer": engineer.id, "what": what})
        return roles

    async def enrol_totp(self, actor: str, login: str) -> str:
        """A new TOTP secret (RFC 6238, base32), shown this once; an earlier one ends."""
        secret = new_secret()
        async with self._store.operator_log() as scope:
            engineer = await self.by_login(scope, login)
            sealed = self._vault.seal(f"totp:{engineer.id}", secret.encode())
            await scope.execute(
                update(engineers).where(engineers.c.id == engineer.id).values(totp_sealed=sealed, totp_last_step=0)
            )
            await self._log(scope, "engineer.totp_enrolled", actor, {"engineer": engineer.id})
        return secret

    async def issue_codes(self, actor: str, login: str, count: int = 10) -> list[str]:
        """New one-time backup codes, shown this once; earlier ones end."""
        codes = [f"{secrets.token_hex(3)}-{secrets.token_hex(3)}" for _ in range(count)]
        async with self._store.operator_log() as scope:
            engineer = await self.by_login(scope, login)
            await scope.execute(backup_codes.delete().where(backup_codes.c.engineer_id == engineer.id))
            await scope.execute(
                insert(backup_codes),
                [{"engineer_id": engineer.id, "digest": self._vault.digest("code", engineer.id, c)} for c in codes],
            )
            await self._log(scope, "engineer.codes_issued", actor, {"engineer": engineer.id, "count": count})
        return codes

    async def set_enabled(self, actor: str, login: str, enabled: bool) -> None:
        """Switch an engineer on or off; off ends what is open within a second."""
        async with self._store.operator_log() as scope:
            engineer = await self.by_login(scope, login)
            await scope.execute(update(engineers).where(engineers.c.id == engineer.id).values(enabled=enabled))
            kind = "engineer.enabled" if enabled else "engineer.disabled"
            await self._log(scope, kind, actor, {"engineer": engineer.id})

    # --- the door's Authenticator ---

    async def key_known(self, login: str, fingerprint: str) -> bool:
        """True when this enabled engineer has this key. The same work is done whether or not the login exists."""
        return await self._recall(login, _BY_KEY, {"of_login": login, "of_fingerprint": fingerprint})

    async def _recall(self, login: str, query: Any, values: Any = None) -> bool:
        """True when the query finds the engineer, whose id and name `signed_in` then need not ask for again."""
        async with self._store.look(OPERATOR_LOG) as scope:
            row = (await scope.execute(query, values)).first()
        if row is not None:
            self._known[login] = (row.id, row.name)
        return row is not None

    async def certificate_known(self, login: str) -> bool:
        """True when this login is an enabled engineer's (a configured authority vouches for the key)."""
        query = select(engineers.c.id, engineers.c.name).where(engineers.c.login == login, engineers.c.enabled)
        return await self._recall(login, query)

    async def code_right(self, login: str, code: str, fingerprint: str) -> str | None:
        """Use up a TOTP code or backup code; None when wrong, replayed, or while the engineer is locked out.

        `fingerprint`: the key that was proven before, up to a minute and a half ago; None when it was taken away since.
        """
        given = code.strip().replace(" ", "")
        now = self._audit.clock.now()
        async with self._store.operator_log() as scope:
            locking = select(engineers).where(engineers.c.login == login).with_for_update()
            if _is_key(fingerprint):
                held = (engineer_keys.c.engineer_id == engineers.c.id) & (engineer_keys.c.fingerprint == fingerprint)
                locking = locking.where(select(engineer_keys.c.fingerprint).where(held).exists())
            row = (await scope.execute(locking)).first()
            if row is None or not row.enabled or row.locked_until_ms > now:
                return None
            step = None
            if row.totp_sealed is not None:
                secret = self._vault.open(f"totp:{row.id}", row.totp_sealed).decode()
                step = step_of(secret, given, now, row.totp_last_step)
            factor = "totp" if step is not None else None
            if step is None and await self._use_backup_code(scope, row.id, given, now):
                factor = "backup-code"
            failures = 0 if factor else row.failures + 1
            wait = wait_ms(failures)
            await scope.execute(
                update(engineers)
                .where(engineers.c.id == row.id)
                .values(
                    totp_last_step=row.totp_last_step if step is None else step,
                    failures=failures,
                    locked_until_ms=now + wait if wait else 0,
                )
            )
        return factor

    async def _use_backup_code(self, scope: Scope, engineer_id: str, code: str, now: int) -> bool:
        used = await scope.execute(
            update(backup_codes)
            .where(
                backup_codes.c.engineer_id == engineer_id,
                backup_codes.c.digest == self._vault.digest("code", engineer_id, code.lower()),
                backup_codes.c.used_ms.is_(None),
            )
            .values(used_ms=now)
        )
        return bool(used.rowcount == 1)

    async def signed_in(self, login: str, factor: str, fingerprint: str, address: str) -> tuple[str, str]:
        """(engineer id, name); logs the sign-in of somebody whose key or certificate was known just before."""
        known = self._known.get(login)
        if known is None:
            raise NotFoundError(f"no key of {login} was proven")
        data = {"engineer": known[0], "factor": factor, "fingerprint": fingerprint}
        personal = Personal("address", address, f"engineer:{known[0]}")
        async with self._store.operator_log() as scope:
            await self._log(scope, "auth.succeeded", known[0], data, personal)
        return known

    async def failed(self, login: str, factor: str, address: str) -> None:
        """Log a wrong second factor after a proven key."""
        async with self._store.operator_log() as scope:
            engineer = await self.by_login(scope, login)
            personal = Personal("address", address, f"engineer:{engineer.id}")
            data = {"engineer": engineer.id, "factor": factor, "reason": "wrong or used"}
            await self._log(scope, "auth.failed", engineer.id, data, personal)

    def refused(self, address: str, what: str, engineer: str = "") -> None:
        """Count; `flush_refused` makes one event a minute of it."""
        key = (address, what, engineer) if engineer else (address, "", "")
        if key not in self._refused and len(self._refused) >= 10_000:
            key = ("", "", "") if not engineer else ("", what, engineer)
        self._refused[key] += 1

    async def flush_refused(self) -> None:
        """Write what was refused since the last time: before sign-in one event an address, after it one a kind."""
        counted = Counter(self._refused)
        if not counted:
            return
        async with self._store.operator_log() as scope:
            for (address, what, engineer), count in counted.items():
                if engineer:
                    data = {"engineer": engineer, "what": what, "count": count}
                    await self._log(scope, "door.refused", "door", data)
                else:
                    personal = Personal("address", address or "many addresses", "door:addresses")
                    await self._log(scope, "auth.refused", "door", {"count": count}, personal)
        self._refused -= counted

    async def must_leave(self, here: frozenset[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Of these, each (engineer id, key's fingerprint or certificate's name): whose time is over, and why."""
        values = {"of_engineers": [engineer for engineer, _ in here]}
        async with self._store.look(OPERATOR_LOG) as scope:
            rows = (await scope.execute(_STILL, values)).all()
        enabled, keys = {row.id for row in rows}, {(row.id, row.fingerprint) for row in rows}
        gone: dict[tuple[str, str], str] = {}
        for engineer, fingerprint in here:
            if engineer not in enabled:
                gone[engineer, fingerprint] = "Your access was switched off."
            elif _is_key(fingerprint) and (engineer, fingerprint) not in keys:
                gone[engineer, fingerprint] = "The key that you signed in with was taken away."
        return gone
