"""The stand-in against FreePBX's own source, and the helper against the stand-in: what is called is what is there.

`FRAMEROOM_FREEPBX=FOLDER make test-vendor`, where the folder holds checkouts of FreePBX's modules `core`, `userman` and
`voicemail`, of `framework` if there is one, and of `api` for what is asked by GraphQL. Nothing of them is kept here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from connectors.freepbx.connector import HELPER
from tests.support.freepbx.api import SCHEMA
from tests.support.freepbx.pbx import _TABLES, PHP
from tests.support.need import need_tool

STANDIN = PHP / "bootstrap.php"
CLASSES = {
    "Core": "core/Core.class.php", "Userman": "userman/Userman.class.php", "Voicemail": "voicemail/Voicemail.class.php",
    "AGI_AsteriskManager": "framework/amp_conf/htdocs/admin/libraries/php-asmanager.php",
    "Modules": "framework/amp_conf/htdocs/admin/libraries/BMO/Modules.class.php",
}  # fmt: skip
Signatures = dict[str, list[list[object]]]


def signatures(file: Path, name: str) -> Signatures:
    """By method."""
    php = need_tool("php", "php-cli")
    done = subprocess.run([php, str(PHP / "signatures.php"), str(file), name], capture_output=True, check=True)
    found: Signatures = json.loads(done.stdout)
    return found


def vendor() -> Path:
    """Where FreePBX's source is."""
    folder = os.environ.get("FRAMEROOM_FREEPBX")
    if not folder:
        pytest.skip("no source of FreePBX here: name a folder with core, userman and voicemail in FRAMEROOM_FREEPBX")
    return Path(folder)


def called() -> dict[str, set[str]]:
    """By class, the methods that the helper calls."""
    text = HELPER.read_text(encoding="utf-8").replace("$core->", "FreePBX::Core()->").replace(
        "$astman->", "FreePBX::create()->astman->"
    )  # fmt: skip
    text = text.replace("FreePBX::create()->astman->", "FreePBX::AGI_AsteriskManager()->")
    found: dict[str, set[str]] = {}
    for name, method in re.findall(r"FreePBX::(\w+)\(\)->(\w+)\(", text):
        found.setdefault(name, set()).add(method)
    return found


def test_what_the_helper_calls_is_in_the_stand_in() -> None:
    calls = called()
    assert calls["Userman"] == {"updateUser", "deleteUserByID", "getAuthPermission"}
    assert calls["Core"] == {"getDID", "addDID", "editDID", "delDID", "delDevice", "delUser"}
    assert calls["Voicemail"] == {"getMailbox", "updateMailbox", "removeMailbox", "delMailbox"}
    for name in calls.keys() - {"Database", "Config"}:
        assert calls[name] <= signatures(STANDIN, name).keys(), name


def test_a_call_has_no_more_and_no_fewer_values_than_its_method_takes() -> None:
    """Where the values hold no brackets of their own but array(…), which is all of them."""
    text = HELPER.read_text(encoding="utf-8")
    for name, methods in called().items():
        if name in ("Database", "Config"):
            continue
        known = signatures(STANDIN, name)
        for method in methods:
            least = sum(not has for _, has in known[method])
            for values in re.findall(rf"->{method}\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)", text):
                count = _count(values)
                assert least <= count <= len(known[method]), (method, values)


def _count(values: str) -> int:
    flat, before = values, ""
    while flat != before:
        before, flat = flat, re.sub(r"[(\[][^()\[\]]*[)\]]", "", flat)
    return 0 if not flat.strip() else flat.strip().rstrip(",").count(",") + 1


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_stand_in_has_freepbx_own_methods_and_parameters(name: str) -> None:
    file = vendor() / CLASSES[name]
    if not file.exists():
        pytest.skip(f"{CLASSES[name]} is not in FRAMEROOM_FREEPBX")
    theirs, ours = signatures(file, name), signatures(STANDIN, name)
    for method in called()[name]:
        assert method in theirs, f"{name}::{method} is not there"
        # A later version may take more; what we give has to mean the same.
        assert theirs[method][: len(ours[method])] == ours[method], (method, theirs[method])
        assert all(has for _, has in theirs[method][len(ours[method]) :]), (method, theirs[method])


@pytest.mark.parametrize("module", ["core", "userman"])
def test_the_tables_are_freepbx_own(module: str) -> None:
    tree = ElementTree.parse(vendor() / module / "module.xml")  # noqa: S314 - a checkout of the reader's own
    theirs = {
        table.get("name"): {one.get("name"): one.get("length") for one in table.findall("field")}
        for table in tree.iter("table")
    }
    ours = dict(re.findall(r"CREATE TABLE (\w+) \((.*?)\);\n", _TABLES, re.S))
    mine = {"core": ("users", "devices", "sip", "incoming"), "userman": ("userman_users", "userman_directories")}[
        module
    ]
    for name in mine:
        columns = re.findall(r"(?:^|,\s+)(\w+) (?:varchar\((\d+)\)|int|text|blob|tinyint)", ours[name])
        assert len(columns) >= 4
        for column, length in columns:
            assert column in theirs[name], f"{name}.{column}"
            assert not length or theirs[name][column] == length, f"{name}.{column}"


def test_a_removal_takes_the_mailbox_along_and_a_digest_wins_over_a_password() -> None:
    """The two things that the helper relies on and the stand-in imitates."""
    folder = vendor()
    hooks = ElementTree.parse(folder / "voicemail" / "module.xml").iter("method")  # noqa: S314 - as above
    assert any(one.get("callingMethod") == "delUser" and one.text == "delUser" for one in hooks)
    driver = (folder / "core" / "functions.inc" / "drivers" / "PJSip.class.php").read_text(encoding="utf-8")
    assert re.search(r"if \(!empty\(\$config\['md5_cred'\]\)\).*?\} else \{.*?password=", driver, re.S)


def _gql(name: str) -> str:
    return (vendor() / "core" / "Api" / "Gql" / f"{name}.php").read_text(encoding="utf-8")


def test_what_is_asked_of_the_api_is_in_its_own_schema_under_the_scope_that_we_name() -> None:
    users, extensions = _gql("Users"), _gql("Extensions")
    for text, query in ((users, "allCoreUsers"), (extensions, "fetchExtension")):
        before = text[: text.index(f"'{query}' =>")]
        # `gql:core:read`, and neither a part of it nor more.
        assert before.rindex("checkAllReadScope()") > before.rindex("public function queryCallback()")
        assert query in SCHEMA
    assert "Relay::connectionFromArray($this->freepbx->Core->getAllUsers(), $args)" in users
    assert re.search(r"'extensionId' => \[\s*'type' => Type::id\(\)", extensions)
    assert re.search(r"'user' => \[\s*'type' => \$this->typeContainer->get\('coreuser'\)", extensions)
    for field in re.findall(r"(\w+): String", SCHEMA[SCHEMA.index("type Coreuser {") :].partition("}")[0]):
        assert f"'{field}'" in users, field


def test_what_the_stand_in_fails_at_fails_there_too() -> None:
    """`coreUser` and `totalCount` call methods that the class does not have."""
    users = _gql("Users")
    for method in ("getUser", "getTotal", "getSingleData"):
        assert f"$this->{method}(" in users
        assert f"function {method}(" not in users


def test_how_a_token_is_asked_for_and_where() -> None:
    folder = vendor() / "api"
    if not folder.exists():
        pytest.skip("the module api is not in FRAMEROOM_FREEPBX")
    oauth = (folder / "Oauth" / "Oauth.php").read_text(encoding="utf-8")
    assert "ClientCredentialsGrant()" in oauth
    assert "'/token'" in oauth
    helper = (folder / "Api.class.php").read_text(encoding="utf-8")
    assert "/admin/api/api/token" in helper
    assert "/admin/api/api/gql" in helper


def test_which_version_holds_a_client_to_its_scopes_and_its_secret() -> None:
    folder = vendor() / "api"
    if not folder.exists():
        pytest.skip("the module api is not in FRAMEROOM_FREEPBX")
    version = ElementTree.parse(folder / "module.xml").findtext("version") or ""  # noqa: S314 - as above
    if not version.startswith("16.") and version != "17.0.1":
        pytest.skip(f"what docs/connectors/freepbx.md says is said of 16.0.13 and 17.0.1, and this is {version}")
    repositories = folder / "Oauth" / "Repositories"
    scopes = (repositories / "ScopeRepository.php").read_text(encoding="utf-8")
    clients = (repositories / "ClientRepository.php").read_text(encoding="utf-8")
    holds = re.search(r"^\s*throw OAuthServerException::invalidScope", scopes, re.M) is not None
    looks = re.search(r"^\s*&& \$this->api->applications->authenticate", clients, re.M) is not None
    assert (holds, looks) == ((True, True) if version.startswith("16.") else (False, False))
