"""The customer's pages under load: how long three of them take, asked for 50 times a second. `python -m bench.portal`.

`frameroom serve` in a process of its own, for a customer with a long past: the first page, a request that waits, and
the newest 50 of 1,000 visits. Whoever asks is signed in, over connections that stay open. Each page is asked for at
fixed moments, whether or not the one before was answered: having to wait counts.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

import httpx
from sqlalchemy import insert

from audit.events import Event, Personal
from bench.gateway import listening, settings_in
from bench.load import cpu_ms
from bench.measuring import line
from bench.openssh import free_port
from config.settings import Settings
from connectors.contract import Credential, Operation
from gateway.identity.sign_ins import PASSKEY, SignIns
from gateway.lifecycle import SessionState
from gateway.model import HOUR, MINUTE, Terms, new_id
from gateway.portal.site import COOKIE
from gateway.store.tables import sessions
from gateway.wiring.duties import passkeys_of
from gateway.wiring.parts import Parts, make_keys, migrate, parts

A_SECOND, SECONDS = 50, 7
VISITS, ACTS = 1_000, 12
GOAL_MS = 50
_OPERATIONS = frozenset({Operation.FIND, Operation.VIEW, Operation.ALTER})


async def _furnish(opened: Parts) -> tuple[dict[str, str], str]:
    """A customer with a past; the addresses of the pages, by name, and the cookie of an approver."""
    directory = opened.directory
    customer = await directory.add_customer("bench", "Brook & Sons")
    kate = await directory.add_approver("bench", customer, "Kate", "kate@customer.example", "")
    terms = Terms(operations=_OPERATIONS, consent_by_phone=True, ticket_required=False)
    await directory.set_agreement("bench", customer, terms)
    await directory.confirm_agreement("bench", customer, "Kate", "letter")
    values = {
        "name": "Head office", "connector": "lab", "host": "127.0.0.1", "port": 1, "pin": "p", "settings": "{}",
        "site": "", "asset": "",
    }  # fmt: skip
    await directory.add_system("bench", customer, values, Credential("x", "y"), [])
    ana = await opened.engineers.add("bench", "ana", "Ana Silva", "ana@company.example", frozenset())
    await directory.name_engineer("bench", customer, ana.id)
    _, system = (await directory.systems_for(ana.id))[0]
    asked = await opened.permission.submit(ana.id, system, _OPERATIONS, 120, "", "Grace married")
    now = opened.permission.now
    grant = await opened.permission.record_consent("bench", "bench", customer, asked.id, kate, now, "yes")
    if grant is None:
        raise RuntimeError("one yes should have been enough")
    await _past(opened, customer, system.id, ana.id, grant.id)
    waiting = await opened.permission.submit(ana.id, system, _OPERATIONS, 120, "", "Grace is locked out")
    sign_ins = SignIns(opened.store, opened.audit, opened.vault, passkeys_of(opened), 12)
    async with opened.store.scope(customer) as scope:
        cookie = await sign_ins.begin(scope, kate, PASSKEY, "bench", "bench", "127.0.0.1")
    pages = {"the first page": "/", "a request": f"/requests/{waiting.id}", "the list of visits": "/visits"}
    return pages, cookie


async def _past(opened: Parts, customer: str, system: str, engineer: str, grant: str) -> None:
    """Visits with all that their log has of a visit."""
    seen = {"name": "Grace Bell", "email": "grace@customer.example", "ddis": []}
    for number in range(VISITS):
        session, began = new_id("ses"), opened.permission.now - (VISITS - number) * HOUR
        row = {
            "customer_id": customer, "id": session, "grant_id": grant, "system_id": system, "engineer_id": engineer,
            "node": "bench", "state": SessionState.CLOSED, "opened_ms": began, "closed_ms": began + 9 * MINUTE,
            "segments": 1,
        }  # fmt: skip
        events = []
        for act in range(ACTS):
            name = ("find", "view", "view", "alter")[act % 4]
            personal = (Personal("before", seen, "subject:sub_1"),) if name == "alter" else ()
            ids = {"system": system, "session": session, "grant": grant, "operation": new_id("op")}
            events += [
                Event("operation.intended", customer, engineer, data={"name": name}, **ids),
                Event("operation.done", customer, engineer, data={"name": name, "count": 1}, personal=personal, **ids),
            ]
        async with opened.store.scope(customer) as scope:
            await scope.execute(insert(sessions).values(**row))
            await opened.audit.append_many(scope.connection, events)


async def _taken_ms(client: httpx.AsyncClient, path: str) -> list[float]:
    """Of each of as many answers, from the moment at which it should have been asked for."""
    clock = asyncio.get_running_loop().time
    begun = clock()

    async def one(number: int) -> float:
        due = begun + number / A_SECOND
        await asyncio.sleep(due - clock())
        answer = await client.get(path)
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code}")
        return (clock() - due) * 1000

    return await asyncio.gather(*(one(number) for number in range(A_SECOND * SECONDS)))


async def _measured(settings: Settings, file: Path, port: int) -> bool:
    make_keys(settings.storage.data_dir / "keys")
    await asyncio.to_thread(migrate, settings)
    async with parts(settings) as opened:
        pages, cookie = await _furnish(opened)
    with file.with_name("serve.log").open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli.main", "-c", str(file), "serve", stdout=log, stderr=log
        )
    try:
        await listening(port, child, file.with_name("serve.log"))
        limits = httpx.Limits(max_connections=20, max_keepalive_connections=20)
        headers = {"Cookie": f"{COOKIE}={cookie}"}
        met = []
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, limits=limits) as client:
            for name, path in pages.items():
                for _ in range(20):  # warm: templates, and visits that were counted once
                    await client.get(path)
                before = cpu_ms(child.pid)
                taken = await _taken_ms(client, path)
                cpu, p95 = (cpu_ms(child.pid) - before) / len(taken), quantiles(taken, n=20)[-1]
                words = f"p50 {median(taken):.1f} ms, p95 {p95:.1f}, longest {max(taken):.0f} ms; CPU {cpu:.1f} ms each"
                met.append(line(f"{name}, {A_SECOND} a second", words, f"p95 ≤ {GOAL_MS} ms", p95 <= GOAL_MS))
        return all(met)
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


def main() -> bool:
    """Measure in a temporary folder of the working directory's disk; True when every goal was met."""
    before = time.monotonic()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        port = free_port()
        settings = settings_in(Path(folder), portal_port=port)
        met = asyncio.run(_measured(settings, Path(folder) / "frameroom.toml", port))
    print(f"{time.monotonic() - before:.0f} s; {VISITS:,} visits of {ACTS} operations each; {os.cpu_count()} cores")
    return met


if __name__ == "__main__":
    main()
