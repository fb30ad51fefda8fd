"""Admission and the proxy header: pure parts, tried to their edges."""

from __future__ import annotations

import asyncio
import ipaddress
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.session.limits import ADDRESS_BLOCKS, MINUTE_MS, Admission, Limits, address_block
from gateway.session.proxy_header import MAX_HEADER, SIGNATURE, ProxyHeaderError, read_header
from gateway.session.ssh_server import DoorSettings
from tests.session.door.raw import rest_of, socket_to
from tests.session.door.world import world


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"), ("fe80::1%eth0", "fe80::/64"),
    ],
)  # fmt: skip
def test_limits_count_by_ipv4_address_and_ipv6_64(address: str, block: str) -> None:
    assert address_block(address) == block


def test_one_address_cannot_hold_all_pending_places() -> None:
    door = Admission(Limits(pending_per_address=2), lambda: 0.0)
    for _ in range(2):
        assert door.ask("a", 0) is None
        door.enter("a", 0)
    assert door.ask("a", 0) == "too-many-pending-from-address"
    assert door.ask("b", 0) is None
    door.signed_in("a")
    assert door.ask("a", 0) is None


def test_one_address_holds_so_many_connections_and_no_more() -> None:
    door = Admission(Limits(connections_per_address=2), lambda: 0.0)
    for _ in range(2):
        door.enter("a", 0)
        door.signed_in("a")
    assert door.ask("a", 0) == "too-many-from-address"
    assert door.ask("b", 0) is None
    door.leave("a", 0, signed_in=True)
    assert door.ask("a", 0) is None


def test_pending_connections_are_dropped_at_random_and_then_all() -> None:
    limits = Limits(pending_begin=2, pending_rate=0.5, pending_full=4, pending_per_address=100)
    lucky, unlucky = Admission(limits, lambda: 0.6), Admission(limits, lambda: 0.4)
    for door in (lucky, unlucky):
        door.enter("a", 0)
        door.enter("a", 0)
    assert lucky.ask("b", 0) is None
    assert unlucky.ask("b", 0) == "too-many-pending"
    lucky.enter("b", 0)
    lucky.enter("b", 0)
    assert Admission.ask(lucky, "c", 0) == "too-many-pending"


def test_failures_of_an_address_leak_away_and_a_sign_in_wipes_them() -> None:
    door = Admission(Limits(failures_per_minute=2), lambda: 0.0)
    for _ in range(2):
        door.enter("a", 0)
        door.leave("a", 0, signed_in=False)
    assert door.ask("a", 0) == "too-many-failures-from-address"
    assert door.ask("a", MINUTE_MS) is None
    assert door.pending == 0


def test_the_table_of_addresses_is_bounded() -> None:
    door = Admission(Limits(pending_full=10**9, pending_begin=10**9), lambda: 0.0)
    for number in range(ADDRESS_BLOCKS + 100):
        door.enter(str(number), 0)
        door.leave(str(number), 0, signed_in=False)
    assert len(door._blocks) <= ADDRESS_BLOCKS


def header(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(body)) + body


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_any_bytes_give_a_header_a_wish_for_more_or_the_error(data: bytes, behind: bytes) -> None:
    for start in (data, SIGNATURE + data):
        try:
            found = read_header(start)
        except ProxyHeaderError:
            continue
        if found is None:
            assert len(start) < MAX_HEADER
        else:
            assert read_header(start + behind) == found


@given(st.ip_addresses(), st.integers(0, 65535), st.binary(max_size=100), st.data())
def test_a_header_tells_its_source_at_every_split(address: object, port: int, rest: bytes, data: st.DataObject) -> None:
    source = ipaddress.ip_address(str(address))
    pad = b"\0" * len(source.packed)
    body = source.packed + pad + struct.pack(">HH", port, 22) + rest
    whole = header(0x21, 0x11 if source.version == 4 else 0x21, body)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert read_header(whole[:cut]) is None
    found = read_header(whole + b"SSH-2.0")
    assert found is not None
    assert found.source == (str(source), port)
    assert found.size == len(whole)


@pytest.mark.parametrize(
    "bad",
    [b"SSH-2.0-x", header(0x11, 0x11, bytes(12)), header(0x21, 0x31, bytes(300)), header(0x21, 0x11, bytes(11)),
     header(0x21, 0x12, bytes(12)), header(0x21, 0, b""), header(0x20, 0, bytes(2000))],
)  # fmt: skip
def test_other_headers_are_errors(bad: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        read_header(bad)


async def test_a_named_balancer_tells_the_address_that_limits_count_by(tmp_path: Path, template: Path) -> None:
    settings = DoorSettings(proxy_from=("127.0.0.0/8",), unproven_per_address=1)
    body = ipaddress.ip_address("198.51.100.9").packed + bytes(4) + struct.pack(">HH", 4711, 22)
    async with world(tmp_path, settings, template=template) as here, socket_to(here) as (reader, writer):
        first = header(0x21, 0x11, body)
        writer.write(first[:20])
        writer.write(first[20:])
        async with asyncio.timeout(5):
            assert (await reader.readline()).startswith(b"SSH-2.0-Frameroom")
        assert [owner.address for owner in here.door.all] == ["198.51.100.9"]
        async with socket_to(here) as (second, again):
            again.write(first)
            assert await rest_of(second) == b"", "the same address once more: over its limit of pending ones"
        async with socket_to(here) as (third, without):
            without.write(b"SSH-2.0-no-header\r\n")
            assert await rest_of(third) == b""


async def test_a_header_from_anybody_else_is_no_ssh(tmp_path: Path, template: Path) -> None:
    body = ipaddress.ip_address("198.51.100.9").packed + bytes(4) + struct.pack(">HH", 4711, 22)
    async with world(tmp_path, template=template) as here, socket_to(here) as (reader, writer):
        writer.write(header(0x21, 0x11, body) + b"SSH-2.0-x\r\n")
        await rest_of(reader)
        assert not here.door.all


async def test_a_door_on_every_address_takes_both_kinds_and_counts_each_apart(tmp_path: Path, template: Path) -> None:
    settings = DoorSettings(host="::", unproven_per_address=2)
    async with world(tmp_path, settings, template=template) as here:
        held = []
        for host in ("::1", "127.0.0.1"):
            for greeted in (True, True, False):
                reader, writer = await asyncio.open_connection(host, here.port)
                held.append(writer)
                async with asyncio.timeout(10):
                    assert (await reader.read(8) == b"SSH-2.0-") is greeted, host
        for writer in held:
            writer.close()
