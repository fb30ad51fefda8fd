"""What `system show` and `system check` say of the phone system's own record of logins."""

from __future__ import annotations

from connectors.contract import CheckLine, Connector, ReadsLogins
from connectors.errors import ConnectorError
from connectors.registry import families
from gateway.access.reconciling import Watching
from gateway.model import PhoneSystem
from gateway.wiring.admin.base import when
from gateway.wiring.login_watch import LoginWatch

_FOUND = "`frameroom audit search --kind login.foreign` shows from where; the customer was told"


def login_words(system: PhoneSystem, seen: Watching) -> list[str]:
    """What can be read, when it last was, and what it showed."""
    family = families().get(system.connector)
    if family is None:
        return ["its connector is not installed here"]
    can = family.capabilities()
    if not can.login_record:
        return [f"cannot be read: {can.cannot.get('logins', 'this connector does not say why')}"]
    words = [f"compared with our visits: {can.login_record}"]
    words.append(f"last looked at {when(seen.looked_ms)}" if seen.looked_ms else "not looked at yet")
    if seen.failed:
        words.append(f"cannot be looked at since {when(seen.failed_ms)}: {seen.failed}")
    if seen.foreign:
        last = when(seen.last_foreign_ms)
        words.append(f"NOT OURS: {seen.foreign} logins with our credential, the last seen at {last}; {_FOUND}")
    else:
        words.append("no login with our credential but our own")
    return words


async def login_line(watch: LoginWatch, system: PhoneSystem, connector: Connector) -> CheckLine:
    """A look at once, with all that follows from it."""
    if not isinstance(connector, ReadsLogins):
        family = families()[system.connector]
        why = family.capabilities().cannot.get("logins", "this connector does not say why")
        return CheckLine("login record", True, f"cannot be read: {why}")
    try:
        verdict = await watch.compare(system, connector)
    except ConnectorError as error:
        return CheckLine("login record", False, f"{error.message}. {error.next_step}")
    if verdict.foreign:
        count = len(verdict.foreign)
        return CheckLine("login record", False, f"{count} logins with our credential are none of ours; {_FOUND}")
    return CheckLine("login record", True, "every login with our credential that it shows is ours")
