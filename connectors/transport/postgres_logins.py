"""Who signed in to the database as our role: what PostgreSQL shows every role of its own connections.

Source: PostgreSQL, "The Cumulative Statistics System", pg_stat_activity. It shows connections that are open now and
keeps nothing of those that ended.
"""

from __future__ import annotations

from typing import Final

from connectors.contract import Login, Logins
from connectors.errors import ProtocolViolation
from connectors.transport.postgres import Link, Row

RECORD: Final = (
    "the database's open connections of our role (pg_stat_activity), in whichever of its databases; one that begins "
    "and ends between two looks is not seen"
)
_LOCAL: Final = "the phone system's own machine"


async def own_login(link: Link) -> str:
    """The id of this connection."""
    rows = await link.read("own-login")
    if len(rows) != 1:
        raise ProtocolViolation("the database does not show our own connection to us")
    return _login(rows[0]).id


async def logins(link: Link) -> Logins:
    """All of our role's connections, this one among them."""
    rows = await link.read("logins")
    if not rows:
        raise ProtocolViolation("the database does not show our own connection to us")
    now_ms = int(rows[0][4])
    return Logins(tuple(map(_login, rows)), now_ms, now_ms)


def _login(row: Row) -> Login:
    pid, began_us, address, name, _ = row
    if pid is None or began_us is None:
        raise ProtocolViolation("the database does not show when our own connections began")
    # A process id comes round again; with the moment it began at it does not.
    return Login(f"{int(pid)}.{int(began_us)}", int(began_us) // 1000, str(address or _LOCAL), str(name or ""))
