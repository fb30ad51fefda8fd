"""Which connectors there are: ours, and those that other distributions offer as entry points."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from connectors.contract import Family


@cache
def families() -> Mapping[str, Family]:
    """Every connector family by name."""
    from connectors.asterisk.connector import AsteriskRealtimeFamily
    from connectors.asterisk_ami.connector import AsteriskAmiFamily
    from connectors.lab.connector import LabFamily

    ours: tuple[Family, ...] = (LabFamily(), AsteriskRealtimeFamily(), AsteriskAmiFamily())
    found: dict[str, Family] = {family.name: family for family in ours}
    for point in entry_points(group="frameroom.connectors"):
        family: Family = point.load()()
        found.setdefault(family.name, family)
    return found


def rows() -> list[dict[str, str]]:
    """For `frameroom connectors` and the README: name, operations, how secrets are kept, proof."""
    table = []
    for name, family in families().items():
        can = family.capabilities()
        table.append(
            {
                "connector": name,
                "phone system": can.title,
                "operations": ", ".join(sorted(operation.value for operation in can.operations)),
                "secrets": ", ".join(f"{kind.value}: {secrecy.value}" for kind, secrecy in can.secrecy.items()),
                "proven": ", ".join(proof.value for proof in can.proven),
                "login record": can.login_record
                or f"cannot be read: {can.cannot.get('logins', 'it does not say why')}",
            }
        )
    return table
