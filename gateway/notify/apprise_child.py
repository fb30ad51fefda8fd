"""One message by apprise, in a process of its own that lives for it: `python -I apprise_child.py`, JSON in, JSON out.

In: {"url", "body" (absent: only look at the URL), "schemes", "networks", "seconds"}; out: {"ok", "code", "service"}.
Why a process: apprise blocks, and a peer that never answers is ended with it; and what an apprise URL reaches is
decided by whoever wrote it, so every connection is judged where it is made, by an audit hook that nothing in the
process can take away (PEP 578). Addresses that are not public are refused, whatever name, redirect or second DNS
answer led to them. Imports the standard library and apprise alone.
"""

from __future__ import annotations

import ipaddress
import json
import os
import resource
import signal
import sys
from typing import Any, Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_MEMORY: Final = 1 << 30
_STARTS: Final = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "pty.spawn"}
)
_CONNECTS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def _within(address: Address) -> list[Address]:
    """The address, and the IPv4 one that an IPv6 one carries (mapped, 6to4, Teredo, NAT64), where it ends up."""
    found: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            carried.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        found += [one for one in carried if one is not None]
    return found


def may_reach(host: Any, networks: list[str]) -> bool:
    """True for an address that is public, or in a network that the operator named. A name is never one."""
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    allowed = [ipaddress.ip_network(network) for network in networks]
    if any(address.version == network.version and address in network for network in allowed):
        return True
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    parts = _within(address)[1:] if mapped is not None else _within(address)
    return all(part.is_global and not part.is_multicast for part in parts)


class Guard:
    """The hook: PermissionError for what is not let through. `refused`: something was not."""

    def __init__(self, networks: list[str]) -> None:
        self._networks, self.refused = networks, False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Judge one event of the interpreter."""
        if event in _STARTS:
            self.refused = True
            raise PermissionError("nothing is started here")
        if event in _CONNECTS:
            to = args[1] if len(args) > 1 else None
            if not isinstance(to, tuple) or not may_reach(to[0], self._networks):
                self.refused = True
                raise PermissionError("that address is not reached from here")


def _limit(seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.alarm(seconds)
    # No login of this machine's for any host (requests reads it), and no output but our own answer.
    os.environ.update({"HOME": "/nonexistent", "NETRC": os.devnull})


def _asset() -> Any:
    import apprise

    # No file of this machine's is read or written, nothing outside is pointed at.
    asset = apprise.AppriseAsset(
        plugin_paths=[], storage_mode=apprise.common.PersistentStoreMode.MEMORY, allow_templates=False,
        image_path_mask=False, image_url_mask="", image_url_logo="", app_id="Frameroom", app_desc="Frameroom",
        app_url="", http_redirects=False, interpret_emojis=False, interpret_escapes=False,
    )  # fmt: skip
    return asset


def act(job: dict[str, Any]) -> dict[str, Any]:
    """Look, or send. Codes: "unreadable", "scheme", "internal", "refused" ("" when all is well)."""
    import apprise

    asset = _asset()
    guard = Guard(job["networks"])
    sys.addaudithook(guard)
    plugin = apprise.Apprise.instantiate(job["url"], asset=asset, suppress_exceptions=True)
    if plugin is None:
        return {"ok": False, "code": "unreadable", "service": ""}
    service = str(plugin.service_name)
    if job["schemes"] is not None and plugin.schema not in job["schemes"]:
        return {"ok": False, "code": "scheme", "service": service}
    if "body" not in job:
        return {"ok": True, "code": "", "service": service}
    # What the URL asks for counts for nothing here: certificates are checked, nobody leads on to another place.
    plugin.verify_certificate, plugin.redirects = True, False
    sender = apprise.Apprise(asset=asset)
    sender.add(plugin)
    sent = bool(sender.notify(body=job["body"], body_format=apprise.NotifyFormat.TEXT))
    code = "" if sent else "internal" if guard.refused else "refused"
    return {"ok": sent, "code": code, "service": service}


def main() -> None:
    """One job from standard input; the answer on standard output. No traceback leaves: its frames hold the URL."""
    answer = {"ok": False, "code": "broken", "service": ""}
    try:
        job = json.loads(sys.stdin.buffer.read())
        _limit(int(job["seconds"]))
        answer = act(job)
    finally:
        os.write(1, json.dumps(answer).encode())
        os._exit(0)


if __name__ == "__main__":
    main()
