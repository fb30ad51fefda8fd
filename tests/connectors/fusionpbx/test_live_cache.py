"""A live FreeSWITCH with FusionPBX's own script takes out of its cache what the connector changed, and nothing else.

FRAMEROOM_FREESWITCH names its program, which needs `mod_lua`, and FRAMEROOM_FUSIONPBX a checkout of FusionPBX.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.contract import Change, Secret, SecretKind
from connectors.errors import Refused
from tests.support.live_freeswitch import PASSWORD, LiveSwitch, program, running

from .conftest import Pbx
from .database import PEOPLE

SCRIPTS = Path(os.environ.get("FRAMEROOM_FUSIONPBX") or "/nonexistent") / "app/switch/resources/scripts"
GRACE = PEOPLE[0]
_CONF = """database.0.type = sqlite
database.0.path = {folder}
database.0.name = system.db
database.1.type = sqlite
database.1.path = {folder}
database.1.name = switch.db
cache.method = file
cache.location = {folder}/kept
"""
_TABLES = """
create table v_default_settings (default_setting_uuid text, default_setting_category text,
    default_setting_subcategory text, default_setting_name text, default_setting_value text,
    default_setting_order integer, default_setting_enabled text);
create table v_domain_settings (domain_setting_uuid text, domain_uuid text, domain_setting_category text,
    domain_setting_subcategory text, domain_setting_name text, domain_setting_value text,
    domain_setting_order integer, domain_setting_enabled text);
"""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveSwitch]:
    program()
    if not (SCRIPTS / "app/servers/resources/clear_cache.lua").exists():
        pytest.skip("FRAMEROOM_FUSIONPBX names no checkout of FusionPBX: its own script was not run")
    conf = tmp_path / "ProgramData" / "fusionpbx"
    conf.mkdir(parents=True)
    (conf / "config.conf").write_text(_CONF.format(folder=tmp_path))
    (tmp_path / "kept").mkdir()
    with sqlite3.connect(tmp_path / "system.db ") as database:  # so its scripts name it
        database.executescript(_TABLES)
        database.execute(
            "insert into v_default_settings values ('1', 'cache', 'location', 'text', ?, 0, 1)",
            (str(tmp_path / "kept"),),
        )
    # Its scripts look for their configuration under this variable where neither /usr/local/etc nor /etc has one.
    with running(tmp_path, "version", SCRIPTS, {"SystemDrive": str(tmp_path)}) as made:
        yield made


async def test_what_was_changed_is_taken_out_and_the_rest_stays(pbx: Pbx, live: LiveSwitch) -> None:
    kept = live.folder / "kept"
    names = {f"directory.1001@{GRACE.domain}", f"directory.1002@{GRACE.domain}", "dialplan.public", "configuration.x"}
    for name in names:
        (kept / name).write_text("x")
    pbx.second = PASSWORD
    connector = await pbx.connect(event_socket={"host": "127.0.0.1", "port": live.port, "cache": "file"})
    done = await connector.reset(GRACE.id, SecretKind.SIP, Secret("Kx7mQ2vTz9LpR4wNc8Hd"))
    assert "goes on working" not in repr(done)
    assert left(kept) == names - {f"directory.1001@{GRACE.domain}"}
    await connector.alter(GRACE.id, Change(ddi="+442079460999"), await connector.view(GRACE.id))
    assert left(kept) == {f"directory.1002@{GRACE.domain}", "configuration.x"}
    await connector.close()


async def test_where_the_script_does_not_run_nothing_is_written(pbx: Pbx, live: LiveSwitch) -> None:
    (live.folder / "ProgramData" / "fusionpbx" / "config.conf").unlink()
    pbx.second = PASSWORD
    connector = await pbx.connect(event_socket={"host": "127.0.0.1", "port": live.port, "cache": "file"})
    with pytest.raises(Refused, match="did not empty its cache"):
        await connector.reset(GRACE.id, SecretKind.SIP, Secret("Kx7mQ2vTz9LpR4wNc8Hd"))
    assert pbx.opens(GRACE.id, SecretKind.SIP, GRACE.secret("sip"))
    await connector.close()


def left(kept: Path) -> set[str]:
    """In the cache, but what its scripts keep there of their own settings."""
    return {one.name for one in kept.iterdir() if not one.name.startswith("setting.")}
