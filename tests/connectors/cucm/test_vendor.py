"""Cisco's own schemas judge what we send and what the stand-in answers: FRAMEROOM_AXL is a folder of versions
(`14.0/AXLSoap.xsd`, …), as the AXL toolkit of each Unified Communications Manager has it. Skipped aloud without it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from connectors.contract import Change, Secret, SecretKind
from connectors.cucm.requests import GUARD, render
from connectors.cucm.settings import VERSIONS
from connectors.errors import ConnectorError, InvalidValue
from tests.connectors.cucm.bench import CucmBench
from tests.connectors.cucm.conftest import served
from tests.support.cucm import schema
from tests.support.cucm.site import site

FOLDER = os.environ.get("FRAMEROOM_AXL")
FOUND = sorted(one.parent.name for one in Path(FOLDER).glob("*/AXLSoap.xsd")) if FOLDER else []
XSD = "{http://www.w3.org/2001/XMLSchema}"
pytestmark = pytest.mark.skipif(
    not FOUND, reason="FRAMEROOM_AXL names no folder with VERSION/AXLSoap.xsd: Cisco's schemas are not ours to ship"
)


@cache
def xsd(version: str) -> Any:
    return etree.XMLSchema(tree(version))


@cache
def tree(version: str) -> Any:
    assert FOLDER is not None
    return etree.parse(Path(FOLDER) / version / "AXLSoap.xsd")


def judged(version: str, envelope: bytes) -> str:
    """The name of what is in a SOAP body (or of a fault's detail), which the schema has to take."""
    (inner,) = etree.fromstring(envelope).findall(f"{{{schema.SOAP}}}Body/*")
    if inner.tag == f"{{{schema.SOAP}}}Fault":
        (inner,) = inner.findall("detail/*")
    alone = etree.fromstring(etree.tostring(inner))
    assert xsd(version).validate(alone), f"{version} {inner.tag}: {xsd(version).error_log.last_error}"
    return etree.QName(inner).localname


def test_every_version_that_we_speak_is_there() -> None:
    assert set(VERSIONS) <= set(FOUND), f"not in FRAMEROOM_AXL: {sorted(set(VERSIONS) - set(FOUND))}"


@pytest.mark.parametrize("version", FOUND)
def test_a_schema_does_refuse(version: str) -> None:
    """Otherwise nothing here proves anything."""
    call = render(GUARD.render("user", axl=version, userid="x"), "t")
    assert call.body is not None
    for old, new in (
        (b"<lastName/>", b"<secretName/>"),
        (b"<userid>x</userid>", b""),
        (b"<lastName/><userid/>", b"<userid/><lastName/>"),
    ):
        assert old in call.body
        with pytest.raises(AssertionError):
            judged(version, call.body.replace(old, new))


@pytest.mark.parametrize("version", FOUND)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_request_is_one_of_ciscos(version: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(name for name in GUARD.names() if "mailbox" not in name)))
    values = {**CucmBench.examples[name], "axl": version}
    if name == "set-person":
        text = st.none() | st.text(max_size=20)
        values |= {field: data.draw(text) for field in ("first_name", "last_name", "email", "telephone_number")}
        values["display_name"] = data.draw(text) if float(version) >= 11 else None
    elif "userid" in values:
        values["userid"] = data.draw(st.text(min_size=1, max_size=30))
    try:
        call = render(GUARD.render(name, **values), "t")
    except InvalidValue:
        return
    assert call.body is not None
    judged(version, call.body)


@pytest.mark.parametrize("version", FOUND)
async def test_every_answer_of_the_stand_in_is_one_of_ciscos(version: str, tmp_path: Path) -> None:
    """Everything that the connector asks and is told, faults among it."""
    async with served(site(f"{version}.1.1-1", (version,)), tmp_path) as pbx:
        pbx.cucm.keeps_bodies = True
        connector = await pbx.connect(version=version, voicemail="synchronised")
        people = (await connector.people(None, 50)).people
        for one in people:
            await connector.view(one.id)
            await connector.devices(one.id)
        await connector.check()
        after = await connector.alter("gokonkwo", Change(name="Zoë & Söhne", email=None, ddi=None), people[0])
        for kind in SecretKind:
            await connector.reset("gokonkwo", kind, Secret("73910284"))
        await connector.remove("gokonkwo", after)
        pbx.cucm.fits = 0
        for doing in (connector.view("nobody"), connector.people(None, 5)):
            with pytest.raises(ConnectorError):
                await doing
        await connector.close()
    # Older schemas have no word for a fault's detail.
    tells = tree(version).getroot().find(f"{XSD}element[@name='axlError']") is not None
    judgements = {judged(version, body) for _, _, body in pbx.cucm.bodies if tells or b"axlError" not in body}
    asked = {"getCCMVersion", "listUser", "getUser", "updateUser", "removeUser"}
    assert judgements == asked | {f"{name}Response" for name in asked} | ({"axlError"} if tells else set())


@pytest.mark.parametrize("version", FOUND)
@pytest.mark.parametrize(
    ("kind", "ours"), [("LUser", schema.LISTED), ("RUser", schema.READ), ("UpdateUserReq", schema.WRITTEN)]
)
def test_our_extract_is_what_the_schema_says(version: str, kind: str, ours: tuple[schema.Field, ...]) -> None:
    names = set[str]().union(*({field.name for field in fields} for fields in (schema.READ, schema.WRITTEN, ours)))
    theirs = [name for name in _children(version, kind) if name in {field.name for field in ours} & names]
    assert schema.of(ours, version) == theirs


def _children(version: str, kind: str) -> Iterator[str]:
    (found,) = tree(version).getroot().findall(f"{XSD}complexType[@name='{kind}']")
    depth = len(list(found.iterancestors()))
    top = [one for one in found.iter(f"{XSD}element") if not _inside(one, found, depth)]
    return (one.get("name") for one in top)


def _inside(one: Any, kind: Any, depth: int) -> bool:
    """Whether it belongs to another element of the type."""
    return any(
        above.tag == f"{XSD}element" for above in one.iterancestors() if len(list(above.iterancestors())) > depth
    )


@pytest.mark.parametrize("version", FOUND)
def test_every_field_that_could_hold_a_secret_is_one_that_we_know_of(version: str) -> None:
    """A version that adds one is to be looked at before it is spoken."""
    known = {"password", "pin", "digestCredentials", "mlppPassword", "attendeesAccessCode", "passwordCredentials",
             "pinCredentials"}  # fmt: skip
    words = ("passw", "pin", "secret", "credential", "code", "key", "hash")
    suspects = {name for name in _children(version, "RUser") if any(word in name.lower() for word in words)}
    assert suspects <= known, suspects - known
