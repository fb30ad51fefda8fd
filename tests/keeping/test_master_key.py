"""The master key as an operator meets it: where it is, moving it, and what is said when it is not there."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from audit.sealing import MasterKeyAway
from connectors.contract import Credential
from gateway.cli.main import main
from gateway.store.tables import systems
from gateway.wiring import backup
from gateway.wiring.admin import Admin
from gateway.wiring.asking import ask, failure
from gateway.wiring.ending import in_words
from gateway.wiring.parts import parts
from gateway.wiring.restore import Restored, Wanted, restore
from tests.cli.conftest import Closed
from tests.keeping.deployment import Deployment, make, serving
from tests.support.token import KEY, LABEL, SoftToken, make_token

SECRET = "a key that is sealed"


def furnish(deployment: Deployment) -> None:
    deployment.do("customer add", name="Brook")
    deployment.do(
        "system add", customer="Brook", name="Head office", connector="lab", host="127.0.0.1", port=9, pin="",
        login="frameroom", password=None, private_key=SECRET, settings="{}", site="", town="",
        postcode="", asset="", ddi_range="", untried=True,
    )  # fmt: skip


def credential(deployment: Deployment) -> Credential:
    async def one() -> Credential:
        async with parts(deployment.settings()) as opened:
            async with opened.store.look_at_everyone() as scope:
                row = (await scope.execute(select(systems))).one()
            return opened.vault.open_credential(row.customer_id, row.id, row.credential)

    return asyncio.run(one())


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    """With a key in it, for this process and every one that it starts."""
    made = make_token(tmp_path / "token")
    made.make_key()
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    pkcs11.lib(str(made.module)).reinitialize()  # it reads its configuration once
    return made


def want_token(deployment: Deployment, token: SoftToken, key: str = KEY) -> None:
    text = deployment.config.read_text().partition("[keys]")[0]
    deployment.config.write_text(text + token.settings(key))


async def asked(deployment: Deployment, name: str, **given: Any) -> Any:
    """A command of the operator's to the process that serves."""
    answer = await ask(deployment.data / "control.sock", name, given)
    assert answer is not None
    return answer.get("result", answer)


async def test_moved_while_it_serves_and_the_old_key_is_taken_away(deployment: Deployment) -> None:
    await asyncio.to_thread(furnish, deployment)
    old = deployment.data / "keys" / "master.key"
    async with serving(deployment) as gateway:
        (before,) = await asked(deployment, "keys status")
        assert (before["state"], before["place"]) == ("current", "file master.key")
        refused = await asked(deployment, "keys retire")
        assert "no old master key" in refused["error"]
        done = await asked(deployment, "keys rewrap", config=str(deployment.config))
        assert done["moved"] == before["keys"] > 2
        assert done["old"] == ["file master.key"]
        rows = await asked(deployment, "keys status")
        assert [(row["state"], row["keys"] > 0) for row in rows] == [("old", False), ("current", True)]
        assert (await asked(deployment, "keys check"))["ok"]
        assert (await asked(deployment, "keys retire"))[0]["id"] == before["id"]
        assert not old.exists()
        assert await gateway.stop() == 0, gateway.said
    assert (await asyncio.to_thread(credential, deployment)).private_key == SECRET
    tail = await asyncio.to_thread(deployment.do, "audit tail", customer=None, count=20, why="t")
    assert {"keys.rewrapped", "keys.retired"} <= {row["kind"] for row in tail}


def test_moved_when_nothing_serves_and_again_and_again(embedded: Deployment) -> None:
    furnish(embedded)
    places = set()
    for _ in range(3):
        places.add(embedded.do("keys rewrap", config=str(embedded.config))["place"])
        assert embedded.do("keys check")["ok"]
    assert len(places) == 3
    assert len(embedded.do("keys retire")) == 3
    assert len(list((embedded.data / "keys").glob("master*.key"))) == 1
    assert credential(embedded).private_key == SECRET


def _one_more(deployment: Deployment) -> Path:
    """A key that nobody needs, and its file."""

    async def one() -> Path:
        async with parts(deployment.settings()) as opened:
            opened.keys.get_or_create("cus_1", "session:ses_1")
            return opened.keys._place("cus_1", "session:ses_1")

    return asyncio.run(one())


def test_the_commands_as_they_are_typed(embedded: Deployment) -> None:
    furnish(embedded)
    typed = Closed(embedded.config)
    path = _one_more(embedded)
    held = path.read_bytes()
    path.write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    for words in ("check", "rewrap"):
        found = typed.run("--json", "keys", words)
        assert found.exit_code == 1
        assert json.loads(found.stdout)["damaged"] == [path.name]
        assert "backup" in found.stderr
    refused = typed.run("keys", "retire")
    assert refused.exit_code == 1
    assert "1 keys are still wrapped" in refused.stderr
    path.write_bytes(held)  # as a backup of the keys has it
    found = typed.run("keys", "check")
    assert found.exit_code == 1
    assert "`frameroom keys rewrap` moves them" in found.stderr
    assert [row["state"] for row in embedded.do("keys status")] == ["old", "current"]
    moved = typed.run("keys", "rewrap")
    assert moved.exit_code == 0, moved.stderr
    assert "keys retire" in moved.stderr
    assert len(embedded.do("keys status")) == 2, "it finished what was left, and made no third key"
    assert embedded.do("keys check")["ok"]


async def test_from_file_to_token_and_on_while_it_serves(embedded: Deployment, token: SoftToken) -> None:
    await asyncio.to_thread(furnish, embedded)
    async with serving(embedded) as gateway:
        want_token(embedded, token)
        done = await asked(embedded, "keys rewrap", config=str(embedded.config))
        assert done["place"] == f"token {LABEL}, key {KEY}"
        again = await asked(embedded, "keys rewrap", config=str(embedded.config))
        assert "that one already" in again["error"]
        assert "another label" in again["next"]
        assert len(await asked(embedded, "keys retire")) == 1
        assert await gateway.stop() == 0, gateway.said
    assert not list((embedded.data / "keys").glob("master*.key"))
    async with serving(embedded) as gateway:
        assert (await asked(embedded, "keys check"))["ok"]
        # And on to another key in the same token, and back to a file.
        await asyncio.to_thread(token.make_key, "second")
        want_token(embedded, token, "second")
        done = await asked(embedded, "keys rewrap", config=str(embedded.config))
        assert done["place"] == f"token {LABEL}, key second", done
        embedded.config.write_text(embedded.config.read_text().replace('master = "pkcs11"', 'master = "file"'))
        done = await asked(embedded, "keys rewrap", config=str(embedded.config))
        assert done["place"].startswith("file master-"), done
        assert len(await asked(embedded, "keys retire")) == 2
        assert await gateway.stop() == 0, gateway.said
    assert (await asyncio.to_thread(credential, embedded)).private_key == SECRET


@pytest.mark.parametrize(
    ("command", "old", "new", "words"),
    [
        ("config check", f'pkcs11_token = "{LABEL}"', 'pkcs11_token = "another"', "there is no token another"),
        ("serve", f'pkcs11_token = "{LABEL}"', 'pkcs11_token = "another"', f"token {LABEL}, and keys.pkcs11_token is"),
        ("config check", 'pkcs11_module = "', 'pkcs11_module = "/nowhere', "cannot be loaded"),
        ("serve", "[keys]", "[keys] left out", "does not say how"),
        ("serve", "", "", f"there is no token {LABEL}"),
    ],
)
def test_what_is_wrong_with_the_token_is_said_before_it_serves(
    tmp_path: Path, token: SoftToken, command: str, old: str, new: str, words: str
) -> None:
    deployment = make(tmp_path / "fr", ("sqlite", "sqlite"), token.settings())
    good = deployment.config.read_text()
    deployment.config.write_text(good.partition("[keys]")[0] if new.startswith("[keys]") else good.replace(old, new))
    if not old:
        token.tokens.rename(tmp_path / "away")
        token.tokens.mkdir()
    done = deployment.run(*command.split(), timeout=150)
    assert done.returncode == 1
    assert words in done.stderr


def _typed(*words: str) -> Result:
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def _init(folder: Path, soft: SoftToken, /, **change: str) -> Result:
    given = {"module": str(soft.module), "token": LABEL, "key": KEY, "pin-file": str(soft.pin_file)} | change
    return _typed("init", str(folder), *(word for name, v in given.items() for word in (f"--pkcs11-{name}", v)))


def test_a_deployment_that_never_had_its_master_key_on_a_disk(tmp_path: Path, token: SoftToken) -> None:
    folder = tmp_path / "new"
    for change, words in (({"key": "none"}, "holds no AES key none"), ({"token": "none"}, "there is no token none")):
        refused = _init(folder, token, **change)
        assert refused.exit_code == 1
        assert words in refused.stderr
        assert list(folder.iterdir()) == []
    alone = _typed("init", str(folder), "--pkcs11-token", LABEL)
    assert alone.exit_code == 2
    assert "together" in alone.stderr
    token.pin_file.chmod(0o644)
    assert "chmod 600" in _init(folder, token).stderr
    token.pin_file.chmod(0o600)
    made = _init(folder, token)
    assert made.exit_code == 0, made.stderr
    assert not list((folder / "data" / "keys").glob("master*.key"))
    deployment = Deployment(folder, ("sqlite", "sqlite"))
    assert deployment.do("customer add", name="Brook")
    assert deployment.do("keys check")["ok"]
    shown = _typed("-c", str(deployment.config), "config", "show").stdout
    assert token.pin_file.read_text().strip() not in shown
    assert "(withheld)" in shown


def test_a_wrong_pin_is_said_and_not_tried_twice(tmp_path: Path, token: SoftToken) -> None:
    token.pin_file.write_text("00000000")
    refused = _init(tmp_path / "new", token)
    assert refused.exit_code == 1
    assert "refuses the PIN" in refused.stderr
    assert "00000000" not in refused.stderr


def test_an_old_backup_of_the_records_opens_with_newer_keys(embedded: Deployment) -> None:
    furnish(embedded)

    def back_up(name: str, what: tuple[str, ...]) -> Path:
        file = embedded.folder.parent / name
        config = embedded.config.read_text()
        embedded.do("backup", file=str(file), to=[embedded.recipient], parts=list(what), config=config)
        return file

    records = back_up("records.age", tuple(part for part in backup.PARTS if part not in backup.KEYS))
    whole = back_up("whole.age", backup.PARTS)
    embedded.do("keys rewrap", config=str(embedded.config))
    embedded.do("keys retire")
    keys = back_up("keys.age", backup.KEYS)
    for number, files in enumerate([(records, keys), (whole,)]):
        new = embedded.folder.parent / f"new{number}"
        restore(Wanted(files, embedded.identity_file(), new, None), Restored())
        assert credential(Deployment(new, embedded.database)).private_key == SECRET


def test_the_configuration_of_another_deployment_moves_nothing(embedded: Deployment, tmp_path: Path) -> None:
    other = make(tmp_path / "other", ("sqlite", "sqlite"))

    async def one() -> str:
        async with parts(embedded.settings()) as opened:
            with pytest.raises(Exception, match="another deployment") as caught:
                await Admin(opened).call("keys rewrap", "t", {"config": str(other.config)})
            return str(caught.value)

    assert "nothing was changed" in asyncio.run(one())
    assert len(embedded.do("keys status")) == 1


def test_a_master_key_that_is_missing_is_said(embedded: Deployment) -> None:
    os.rename(embedded.data / "keys" / "master.key", embedded.folder / "elsewhere")
    done = embedded.run("customer", "list")
    assert done.returncode == 1
    assert "master.key is missing" in done.stderr
    assert "config check" in done.stderr


def test_a_token_that_goes_away_ends_a_command_and_a_start_in_words() -> None:
    away = MasterKeyAway("there is no token frameroom")
    assert in_words(ExceptionGroup("serving", [away])) == ["there is no token frameroom"]
    told = failure(away)
    assert (told["error"], told["exit"]) == ("there is no token frameroom", 1)
    assert "config check" in told["next"]


def test_a_key_store_without_the_key_of_credentials_is_said_and_gets_no_other(embedded: Deployment) -> None:
    embedded.do("audit verify")
    (vault,) = [path for path in (embedded.data / "keyring").glob("??/*") if path.name[0] != "."]
    furnish(embedded)
    held = vault.read_bytes()
    vault.unlink()
    done = embedded.run("customer", "list")
    assert done.returncode == 1
    assert f"{vault.name} is missing" in done.stderr
    assert "backup of the keys" in done.stderr
    assert not vault.exists()
    vault.write_bytes(held)
    assert credential(embedded).private_key == SECRET
