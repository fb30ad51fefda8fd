"""A live Asterisk whose people stand in the very PostgreSQL that the connector works on, with and without its cache.

FRAMEROOM_ASTERISK names its program, which needs `res_config_pgsql`; skipped aloud without one.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.asterisk.connector import AsteriskConnector, AsteriskRealtimeFamily
from connectors.contract import Change, Credential, Secret, SecretKind
from connectors.errors import NotFound
from tests.support.flat_pbx import CANARIES, CAPTURED, USER, Door, door
from tests.support.live_asterisk import Live, free_port, started

from .database import PASSWORD, SHA256_TOO, Pbx

NEW = "Kx7mQ2vTz9LpR4wNc8Hd"
_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
_TABLES = ("ps_endpoints", "ps_auths", "ps_aors", "ps_contacts", "voicemail")
_PGSQL = """
[general]
hostname = 127.0.0.1
port = {port}
dbname = {database}
dbuser = asterisk
password = asterisk
requirements = warn
"""
_PJSIP = """
[global]
type=global
default_realm=asterisk

[transport-udp]
type=transport
protocol=udp
bind=127.0.0.1:{port}
"""
_CACHE = "{kind}/cache=memory_cache,object_lifetime_maximum=3600,object_lifetime_stale=0,expire_on_reload=yes\n"
_PERMISSIONS = """
[general]
default_perm=permit
[nobody]
deny=all
permit=sorcery memory cache expire
"""


def files(pbx: Pbx, sip_port: int, cached: bool) -> dict[str, str]:
    """Of an Asterisk that keeps its people in that database."""
    kinds = {"endpoint": "ps_endpoints", "auth": "ps_auths", "aor": "ps_aors"}
    lines = [
        (_CACHE.format(kind=kind) if cached else "") + f"{kind}=realtime,{table}\n" for kind, table in kinds.items()
    ]
    return {
        "extconfig.conf": "[settings]\n" + "".join(f"{name} => pgsql,general,{name}\n" for name in _TABLES),
        "res_pgsql.conf": _PGSQL.format(port=pbx.port, database=pbx.database),
        "sorcery.conf": "[res_pjsip]\n" + "".join(lines) + "contact=realtime,ps_contacts\n",
        "pjsip.conf": _PJSIP.format(port=sip_port), "voicemail.conf": "[general]\nformat=wav\n",
        "cli_permissions.conf": _PERMISSIONS, "modules.conf": (CAPTURED / "modules.conf").read_text(),
    }  # fmt: skip


@contextmanager
def running(pbx: Pbx, folder: Path, cached: bool = False) -> Iterator[Live]:
    """It, until the end of the block."""
    pbx.sql("do $$ begin create role asterisk login password 'asterisk'; exception when others then null; end $$")
    pbx.sql("grant all on all tables in schema public to asterisk")
    sip = free_port(socket.SOCK_DGRAM)
    (folder / "etc").mkdir()
    for name, text in files(pbx, sip, cached).items():
        (folder / "etc" / name).write_text(text, encoding="utf-8")
    with started(folder, sip, "[files]\nastctlpermissions = 0666") as live:
        yield live


@pytest.fixture
def live(pbx: Pbx, tmp_path: Path) -> Iterator[Live]:
    with running(pbx, tmp_path) as made:
        yield made


def mailbox(live: Live, what: str) -> str:
    found = re.search(r"^Result: (.*)$", live.ask(f"dialplan eval function VM_INFO({what})"), re.M)
    assert found
    return found[1]


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_a_reset_counts_at_once(pbx: Pbx, live: Live, algorithm: str) -> None:
    pbx.sql(SHA256_TOO)
    connector = await pbx.connect(digest="md5" if algorithm == "MD5" else "sha256")
    for user in ("1001", "1007", "alice.wong", "1020"):
        old = CANARIES[f"sip:{user}"]
        assert live.register(user, old) == 200
        await connector.reset(user, SecretKind.SIP, Secret(NEW))
        assert live.register(user, NEW, algorithm=algorithm) == 200, user
        assert live.register(user, old, algorithm=algorithm) == 401
    assert live.register("1020-mobile", NEW, algorithm=algorithm) == 200
    assert live.register("1002", CANARIES["sip:1002"]) == 200
    await connector.close()


async def test_names_addresses_and_pins_are_what_it_then_has(pbx: Pbx, live: Live) -> None:
    connector = await pbx.connect()
    change = Change(name="Siobhán Kelly", email="s.kelly@example.test")
    await connector.alter("1004", change, await connector.view("1004"))
    assert '"Siobhán Kelly" <1004>' in live.ask("pjsip show endpoint 1004")
    assert mailbox(live, "1004@default,fullname") == "Siobhán Kelly"
    assert mailbox(live, "1004@default,email") == "s.kelly@example.test"
    await connector.reset("1004", SecretKind.VOICEMAIL, Secret("493817"))
    assert mailbox(live, "1004@default,password") == "493817"
    await connector.close()


async def test_who_is_removed_is_gone_and_the_others_go_on(pbx: Pbx, live: Live) -> None:
    connector = await pbx.connect()
    assert live.register("1002", CANARIES["sip:1002"], expires=600) == 200
    (device,) = await connector.devices("1002")
    assert "127.0.0.1" in device.label
    await connector.remove("1002", await connector.view("1002"))
    with pytest.raises(NotFound):
        await connector.view("1002")
    assert live.register("1002", CANARIES["sip:1002"]) == 401
    assert "Unable to find object" in live.ask("pjsip show endpoint 1002")
    assert live.register("1001", CANARIES["sip:1001"]) == 200
    await connector.close()


# --- its cache ---


@pytest.fixture
def cached(pbx: Pbx) -> Iterator[Live]:
    """In a folder that others may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with running(pbx, Path(name), cached=True) as made:
            yield made


@pytest.fixture
def way(cached: Live, tmp_path: Path) -> Iterator[Door]:
    """A key bound to the command of docs/connectors/asterisk-realtime.md, as somebody who may do nothing else there."""
    asterisk = " ".join([*(_NOBODY if os.getuid() == 0 else ()), *cached.command])
    command = f"for c in auth endpoint aor; do {asterisk} -rx 'sorcery memory cache expire res_pjsip/'$c; done"
    with door(tmp_path / "ssh", f'command="{command}",restrict') as made:
        yield made


async def connected(pbx: Pbx, there: Door | None) -> AsteriskConnector:
    async def unseal() -> Credential:
        return Credential("gateway", PASSWORD, there.key if there else None)

    settings: dict[str, Any] = {"sorcery_cache": "operator-expires"}
    if there is not None:
        expiry = {"port": there.port, "pin": there.pin, "login": USER}
        settings = {"sorcery_cache": "expires", "expiry": expiry}
    return await AsteriskRealtimeFamily().connect(pbx.target(**settings), unseal)


async def test_a_cache_that_nobody_empties_keeps_the_old_password(pbx: Pbx, cached: Live) -> None:
    """Otherwise the tests below would prove nothing."""
    connector = await connected(pbx, None)
    old = CANARIES["sip:1001"]
    assert cached.register("1001", old) == 200
    (note,) = (await connector.reset("1001", SecretKind.SIP, Secret(NEW))).notes
    assert "sorcery memory cache expire res_pjsip/auth" in note
    assert (cached.register("1001", NEW), cached.register("1001", old)) == (401, 200)
    assert "removed from cache" in cached.ask("sorcery memory cache expire res_pjsip/auth")
    assert (cached.register("1001", NEW), cached.register("1001", old)) == (200, 401)
    await connector.close()


async def test_a_cache_that_our_key_empties_keeps_nothing(pbx: Pbx, cached: Live, way: Door) -> None:
    connector = await connected(pbx, way)
    (line,) = [line for line in await connector.check() if line.what == "cache"]
    assert line.ok, line.words
    assert "res_pjsip/auth, res_pjsip/endpoint, res_pjsip/aor" in line.words
    old = CANARIES["sip:1001"]
    assert cached.register("1001", old) == 200
    assert (await connector.reset("1001", SecretKind.SIP, Secret(NEW))).notes == ()
    assert (cached.register("1001", NEW), cached.register("1001", old)) == (200, 401)
    assert '"Grace Okonkwo" <1001>' in cached.ask("pjsip show endpoint 1001")
    shown = await connector.alter("1001", Change(name="Grace Bell"), await connector.view("1001"))
    assert '"Grace Bell" <1001>' in cached.ask("pjsip show endpoint 1001")
    removal = await connector.remove("1001", shown)
    assert not any("cache" in words for words in removal.remains)
    assert cached.register("1001", NEW) == 401
    assert "Unable to find object" in cached.ask("pjsip show endpoint 1001")
    await connector.close()


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="only root becomes somebody else here")
def test_whose_account_that_is_may_do_nothing_else_there(cached: Live) -> None:
    for line, done in (
        ("sorcery memory cache expire res_pjsip/auth", True), ("core show version", False),
        ("pjsip show auth 1001", False), ("sorcery memory cache dump res_pjsip/auth", False),
    ):  # fmt: skip
        told = subprocess.run(
            [*_NOBODY, *cached.command, "-rx", line], capture_output=True, text=True, check=False
        ).stdout
        assert ("removed from cache" in told) == done, told
        assert done or "permissions" in told.lower(), told
