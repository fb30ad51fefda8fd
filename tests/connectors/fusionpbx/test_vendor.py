"""Against FusionPBX's own source, where FRAMEROOM_FUSIONPBX names a checkout of it: its definitions make the tables,
and its own PHP makes what ours is compared with. Nothing of it is kept here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Change, Secret, SecretKind
from connectors.fusionpbx.dialplan import Route
from connectors.fusionpbx.numbers import Stored
from tests.support.postgres import Postgres

from .database import PEOPLE, SCHEMA, fresh, running_server, uuid
from .definitions import create, tables

SOURCE = Path(os.environ.get("FRAMEROOM_FUSIONPBX") or "/nonexistent")
pytestmark = pytest.mark.skipif(
    not (SOURCE / "app/extensions/app_config.php").exists(),
    reason="FRAMEROOM_FUSIONPBX names no checkout of FusionPBX: its own definitions and code were not tried",
)
GRACE = PEOPLE[0]
ID, DOMAIN_ID = uuid("route"), uuid("domain")
NUMBERS = [
    Stored("442079460123"), Stored("+442079460123"), Stored("2079460123", "44"), Stored("2089068227", "1"),
    Stored("2079460123", "44", "0"), Stored("79460123", "44", "", "20"), Stored("79460123", "44", "0", "20"),
]  # fmt: skip
SETTINGS: list[dict[str, Any]] = [
    {}, {"record": True}, {"record": True, "record_extension": "wav"}, {"hold_music": "local_stream://default"},
    {"accountcode": "brook", "distinctive_ring": "Bellcore-dr2"}, {"ringback": "${uk-ring}"},
    {"cid_prefix": "Sales", "provider": ID}, {"field": "${sip_to_user}"},
    {"cid_prefix": "Sales", "record": True, "hold_music": "local_stream://a", "distinctive_ring": "x",
     "ringback": "local_stream://b", "accountcode": "brook"},
]  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Postgres, int, str]]:
    """A server whose tables FusionPBX's own definitions made."""
    with running_server(create(tables(SOURCE))) as running:
        yield running


def test_our_extract_is_part_of_their_definitions() -> None:
    theirs = tables(SOURCE)
    for table, body in re.findall(r"create table (\w+) \((.*?)\n\);", SCHEMA, re.S):
        for line in body.strip().splitlines():
            name, _, kind = line.strip().rstrip(",").partition(" ")
            assert theirs[table][name] == kind, f"{table}.{name}"


async def test_every_operation_on_their_own_tables(server: tuple[Postgres, int, str]) -> None:
    pbx = fresh(server)
    connector = await pbx.connect()
    assert all(line.ok for line in await connector.check())
    assert [p.extension for p in (await connector.people(None, 10)).people] == ["1001", "1002", "1003", "1004"]
    shown = (await connector.find("grace", 5)).people[0]
    after = await connector.alter(
        GRACE.id, Change(name="Grace Bell", email="gb@brook.example", ddi="+442079460999"), shown
    )
    assert (after.name, after.email, after.ddis) == ("Grace Bell", "gb@brook.example", ("+442079460999",))
    given = await connector.alter(PEOPLE[3].id, Change(ddi="+442079460777"), await connector.view(PEOPLE[3].id))
    assert given.ddis == ("+442079460777",)
    for kind, secret in ((SecretKind.SIP, "n" * 20), (SecretKind.VOICEMAIL, "918273"), (SecretKind.PORTAL, "n" * 20)):
        await connector.reset(GRACE.id, kind, Secret(secret))
        assert pbx.opens(GRACE.id, kind, secret)
    await connector.remove(GRACE.id, after)
    assert len((await connector.people(None, 10)).people) == 3
    await connector.close()


# --- their own PHP ---

_PHP = r"""<?php
error_reporting(0);
class Everything { public $domain_uuid; function valid($x) { return true; } function get($a, $b, $c = null) {
  return $a == 'destinations' ? 'true' : ($c ?? ''); } }
require $argv[1] . '/resources/classes/xml.php';
function permission_exists($x) { return true; }
function is_uuid($x) { return false; }
$source = file_get_contents($argv[1] . '/app/destinations/resources/classes/destinations.php');
$from = strpos($source, 'public function to_regex');
$end = strpos($source, '* Build the destinations array');
eval('class Numbers { ' . preg_replace('#/\*\*\s*$#', '', substr($source, $from, $end - $from)) . ' }');
$page = file_get_contents($argv[1] . '/app/destinations/destination_edit.php');
$from = strpos($page, '//process the destination actions');
$end = strpos($page, '//delete the previous details');
$code = substr($page, $from, $end - $from) . '}';
$destination = new Everything; $ringbacks = new Everything; $settings = new Everything;
foreach (json_decode(file_get_contents('php://stdin'), true) as $given) {
  if (isset($given['hash'])) { $made[] = password_verify($given['password'], $given['hash']); continue; }
  $numbers = new Numbers;
  $regex = $numbers->to_regex($given['number']);
  if (!isset($given['route'])) { $made[] = $regex; continue; }
  foreach (['destination_cid_name_prefix', 'destination_hold_music', 'destination_distinctive_ring', 'provider_uuid',
    'destination_ringback', 'destination_accountcode', 'destination_record', 'conditions', 'fax_uuid', 'dialplan',
    'destination_carrier', 'destination_condition_field'] as $name) { $$name = null; }
  foreach ($given['route'] as $name => $value) { $$name = $value; }
  $destination_number_regex = $regex; $dialplan_detail_order = 10;
  $_SESSION = ['domain_uuid' => $domain_uuid, 'domain_name' => $domain_name];
  $dialplan = ['dialplan_name' => $given['number']['destination_number']];
  eval($code);
  $details = [];
  foreach ($dialplan['dialplan_details'] as $row) {
    $details[] = implode(' ', [$row['dialplan_detail_tag'], $row['dialplan_detail_type'],
      ($row['dialplan_detail_inline'] ?? '') ?: '-', $row['dialplan_detail_data']]);
  }
  $made[] = [$dialplan['dialplan_xml'], $details];
}
echo json_encode($made);
"""


def php(given: list[dict[str, Any]]) -> list[Any]:
    """What FusionPBX's own code makes of each."""
    program = shutil.which("php")
    if program is None:
        pytest.skip("there is no php here: FusionPBX's own code was not run")
    made = subprocess.run(
        [program, "-r", _PHP.removeprefix("<?php"), "--", str(SOURCE)],
        input=json.dumps(given), capture_output=True, text=True, check=True,
    )  # fmt: skip
    told: list[Any] = json.loads(made.stdout)
    assert len(told) == len(given)
    return told


def columns(number: Stored) -> dict[str, str]:
    named = {"prefix": number.prefix, "trunk_prefix": number.trunk, "area_code": number.area, "number": number.number}
    return {f"destination_{key}": value for key, value in named.items() if value}


def test_the_expressions_are_theirs() -> None:
    assert php([{"number": columns(number)} for number in NUMBERS]) == [number.regex() for number in NUMBERS]


def test_the_xml_and_the_details_are_theirs() -> None:
    number, given, ours = Stored("2079460123", "44"), [], []
    for settings in SETTINGS:
        route = Route(
            name=number.number, regex=number.regex(), transfer="1001 XML brook.example", dialplan=ID,
            domain=DOMAIN_ID, domain_name="brook.example", **{"field": "destination_number"} | settings,
        )  # fmt: skip
        ours.append(route)
        names = {
            "destination_cid_name_prefix": route.cid_prefix, "destination_hold_music": route.hold_music,
            "destination_distinctive_ring": route.distinctive_ring, "destination_ringback": route.ringback,
            "destination_accountcode": route.accountcode, "provider_uuid": route.provider,
            "destination_record": "true" if route.record else "", "record_extension": route.record_extension,
        }  # fmt: skip
        given.append({"number": columns(number), "route": names | {
            "domain_uuid": DOMAIN_ID, "domain_name": "brook.example", "dialplan_uuid": ID,
            "dialplan_detail_type": route.field, "destination_actions": ["transfer:1001 XML brook.example"],
            "destination_number": number.number, "destination_prefix": number.prefix,
            "destination_condition_field": route.field,
        }})  # fmt: skip
    for route, (xml, details) in zip(ours, php(given), strict=True):
        assert [line.strip() for line in xml.splitlines()] == route.lines()
        assert details == route.details()


async def test_their_own_sign_in_takes_a_new_portal_password(server: tuple[Postgres, int, str]) -> None:
    pbx = fresh(server)
    connector = await pbx.connect()
    await connector.reset(GRACE.id, SecretKind.PORTAL, Secret("Kx7mQ2vTz9LpR4wNc8Hd"))
    await connector.close()
    ((hashed,),) = pbx.sql("select password from v_users where user_uuid = %s", uuid("user", GRACE.domain, "1001"))
    made = php([{"hash": hashed, "password": "Kx7mQ2vTz9LpR4wNc8Hd"}, {"hash": hashed, "password": "x"}])
    assert made == [True, False]
