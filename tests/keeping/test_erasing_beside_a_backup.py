"""An erasure is not called done while a backup that may have the keys is being written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from audit.events import OPERATOR_LOG
from audit.rewrap import being_backed_up
from audit.tables import entries
from gateway.access.erasing import Erasing
from gateway.wiring import backup
from gateway.wiring.admin import Admin
from gateway.wiring.parts import Parts, parts
from tests.keeping.deployment import Deployment

BROOK = "Brook"


async def ready(opened: Parts) -> Admin:
    admin = Admin(opened)
    await admin.call("customer add", "t", {"name": BROOK})
    given = {"name": "Omar", "email": "omar@customer.example", "position": "", "phone": "", "notices": "each"}
    await admin.call("contact add", "t", {"customer": BROOK, **given})
    return admin


async def erased(admin: Admin) -> str:
    asked = await admin.call("erase", "tom", {"customer": BROOK, "subject": "Omar", "basis": "objection"})
    return str((await admin.call("erasure confirm", "uma", {"proposal": asked["proposal"]}))["state"])


async def test_one_that_is_being_written_or_was_just_written_is_waited_for(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    add_all = backup._add_all

    async def then_erase(writer: Any, folder: str, files: Any) -> None:
        await add_all(writer, folder, files)
        if folder == "keyring":  # the file has the key now
            told.append(await erased(admin))

    async with parts(deployment.settings()) as opened:
        admin = await ready(opened)
        monkeypatch.setattr(backup, "_add_all", then_erase)
        given = {"file": str(tmp_path / "b.age"), "to": [deployment.recipient], "parts": list(backup.PARTS)}
        await admin.call("backup", "t", given | {"config": deployment.config.read_text()})
        (state,) = told
        assert state.startswith("pending: the keys here are destroyed")
        assert not being_backed_up(opened.masters.folder)


async def test_one_that_began_while_the_keys_went_is_waited_for(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = [False, True]
    async with parts(deployment.settings()) as opened:
        admin = await ready(opened)
        blank = Erasing._blank

        async def then_it_begins(self: Erasing, row: Any) -> Any:
            done = await blank(self, row)
            self._being_backed_up = looks.pop
            return done

        monkeypatch.setattr(Erasing, "_blank", then_it_begins)
        assert (await erased(admin)).startswith("pending: the keys here are destroyed")


async def test_it_stands_in_the_log_before_the_file_has_its_name(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends the process in between, no backup with keys is one that erasing does not know of."""
    async with parts(deployment.settings()) as opened:
        admin = await ready(opened)

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(backup, "_settle", killed)
        given = {"file": str(tmp_path / "b.age"), "to": [deployment.recipient], "parts": list(backup.PARTS)}
        with pytest.raises(KeyboardInterrupt):
            await admin.call("backup", "t", given | {"config": deployment.config.read_text()})
        assert not (tmp_path / "b.age").exists()
        async with opened.store.look(OPERATOR_LOG) as scope:
            query = select(entries.c.kind).where(entries.c.kind == "backup.made")
            assert len((await scope.execute(query)).all()) == 1
