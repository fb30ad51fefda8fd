"""What the pages say of the connectors is what the code says."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from connectors.contract import NO_CONNECTOR, OUTSIDE, Credential, Target
from connectors.errors import NotSupported
from connectors.registry import families, markdown
from gateway.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    """The script that writes them."""
    spec = importlib.util.spec_from_file_location("tables", ROOT / "scripts" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_pages_are_the_code_s(tables: ModuleType) -> None:
    for page in tables.PAGES:
        assert (ROOT / page).read_text(encoding="utf-8") == tables.made(page), f"{page}: run `make tables`"


def test_every_connector_of_ours_has_its_page() -> None:
    for name in families():
        text = (ROOT / "docs" / "connectors" / f"{name}.md").read_text(encoding="utf-8")
        assert f"`{name}`" in text


def test_the_command_prints_the_same(tmp_path: Path) -> None:
    nowhere = ["-c", str(tmp_path / "none.toml")]
    printed = CliRunner().invoke(main, [*nowhere, "connectors", "--markdown"])
    assert printed.exit_code == 0
    assert printed.stdout == markdown()
    told = CliRunner().invoke(main, [*nowhere, "connectors", "--json"])
    assert [row["connector"] for row in json.loads(told.stdout)] == list(families())
    assert {row["from"] for row in json.loads(told.stdout)} == {"frameroom"}


def test_a_connector_that_is_not_there_any_more_is_told_to_an_engineer_in_words() -> None:
    assert families().get("toy") is None
    assert "toy" not in families()
    with pytest.raises(NotSupported, match="connector, toy, is not there") as caught:
        families()["toy"]
    assert "connectors.also" in caught.value.next_step


def test_every_connector_is_found_by_its_own_name() -> None:
    assert {name: family.name for name, family in families().items()} == {name: name for name in families()}


def test_no_connector_does_what_frameroom_is_not_in_between_at() -> None:
    for name, family in families().items():
        assert not family.capabilities().operations & OUTSIDE, name


async def test_a_phone_system_without_a_connector_is_never_dialled_and_nothing_is_unsealed() -> None:
    async def unseal() -> Credential:
        raise AssertionError("unsealed")

    family = families()[NO_CONNECTOR]
    target = Target("sys_1", "127.0.0.1", 1, "", family.settings_model())
    with pytest.raises(NotSupported, match="does not reach") as caught:
        await family.connect(target, unseal)
    assert "--ops visit" in caught.value.next_step
    assert family.capabilities().operations == frozenset()
