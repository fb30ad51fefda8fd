"""Which connectors there are: ours, and those of other distributions that the configuration names.

Loading a stranger's module runs its code in the process that holds keys: an entry point that is not named is never
loaded, whatever happens to be installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from pydantic import ValidationError

from connectors.contract import Capabilities, Family, MayBeWeakened
from connectors.errors import Fault, NotSupported

GROUP: Final = "frameroom.connectors"
_HOUSE: Final = "frameroom"
_OURS: Final = (
    "lab", "asterisk-realtime", "asterisk-files", "asterisk-ami", "3cx", "freepbx", "cisco-cucm", "fusionpbx",
    "yeastar", "avaya-cm", "none",
)  # fmt: skip
_named: dict[str, tuple[Family, str]] = {}


class NotOffered(Exception):
    """The configuration names a connector that cannot be had; says why, and what to do."""

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(f"{message} {next_step}")
        self.message, self.next_step = message, next_step


def also(names: Iterable[str]) -> None:
    """The connectors of other distributions that the configuration names. NotOffered when one cannot be had."""
    global _named
    wanted = tuple(dict.fromkeys(names))
    if wanted == tuple(_named):
        return
    for name in wanted:
        if name in _OURS:
            raise NotOffered(f"The connector {name} is one of Frameroom's own.", "Take it out of connectors.also.")
    _named = {name: _load(name) for name in wanted}


@cache
def _our(name: str) -> Family:
    """One of ours, imported when somebody asks for it: most deployments have a few kinds of phone system."""
    match name:
        case "lab":
            from connectors.lab.connector import LabFamily

            return LabFamily()
        case "asterisk-realtime":
            from connectors.asterisk.connector import AsteriskRealtimeFamily

            return AsteriskRealtimeFamily()
        case "asterisk-files":
            from connectors.asterisk_files.connector import AsteriskFilesFamily

            return AsteriskFilesFamily()
        case "asterisk-ami":
            from connectors.asterisk_ami.connector import AsteriskAmiFamily

            return AsteriskAmiFamily()
        case "3cx":
            from connectors.tcx.connector import TcxFamily

            return TcxFamily()
        case "freepbx":
            from connectors.freepbx.connector import FreePbxFamily

            return FreePbxFamily()
        case "cisco-cucm":
            from connectors.cucm.connector import CucmFamily

            return CucmFamily()
        case "fusionpbx":
            from connectors.fusionpbx.connector import FusionPbxFamily

            return FusionPbxFamily()
        case "yeastar":
            from connectors.yeastar.connector import YeastarFamily

            return YeastarFamily()
        case "avaya-cm":
            from connectors.avaya_cm.connector import AvayaCmFamily

            return AvayaCmFamily()
        case _:
            from connectors.none.connector import NoConnectorFamily

            return NoConnectorFamily()


def _load(name: str) -> tuple[Family, str]:
    points: list[EntryPoint] = list(entry_points(group=GROUP, name=name))
    if len(points) != 1:
        there = "no installed distribution offers it" if not points else "several distributions offer it"
        raise NotOffered(
            f"connectors.also names {name}, and {there}.",
            "Install it in Frameroom's own environment, or take it out of connectors.also.",
        )
    (point,) = points
    whose = f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"
    try:
        family: Family = point.load()()
        known = family.name
        family.capabilities()
    except Exception as error:
        raise NotOffered(
            f"The connector {name} of {whose} cannot be loaded ({type(error).__name__}).",
            "Tell its author, or take it out of connectors.also.",
        ) from error
    if known != name:
        raise NotOffered(
            f"The connector {name} of {whose} calls itself {known!r:.80}.", "Its entry point has to bear its own name."
        )
    return family, whose


class _Families(Mapping[str, Family]):
    """By name; each is imported when it is looked up, and no sooner."""

    def __getitem__(self, name: str) -> Family:
        if name in _OURS:
            return _our(name)
        if name in _named:
            return _named[name][0]
        fault = NotSupported(
            f"this phone system's connector, {name}, is not there",
            next_step="The operator installs it and names it in connectors.also of the configuration.",
        )
        fault.fault = Fault.OPERATOR
        raise fault

    def __iter__(self) -> Iterator[str]:
        return iter((*_OURS, *_named))

    def __len__(self) -> int:
        return len(_OURS) + len(_named)

    def __contains__(self, name: object) -> bool:
        return name in _OURS or name in _named

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except NotSupported:
            return default


def families() -> Mapping[str, Family]:
    """Every connector family by name; NotSupported, in words for an engineer, where one is looked up that is none."""
    return _Families()


def weakens(connector: str, settings: str) -> str:
    """What the settings (JSON) of one phone system weaken, in plain words; "" for nothing, or where nobody can say."""
    family = families().get(connector)
    if not isinstance(family, MayBeWeakened):
        return ""
    try:
        return family.weakens(family.settings_model.model_validate_json(settings))
    except ValidationError:
        return ""


def _operations(can: Capabilities) -> str:
    """As tables have them; where there are none, what the family says of that."""
    return ", ".join(sorted(one.value for one in can.operations)) or can.cannot.get("operations", "none")


def rows() -> list[dict[str, str]]:
    """For `frameroom connectors`: name, operations, how secrets are kept, proof, whose it is."""
    table = []
    for name, family in families().items():
        can = family.capabilities()
        table.append(
            {
                "connector": name,
                "phone system": can.title,
                "operations": _operations(can),
                "secrets": ", ".join(f"{kind.value}: {secrecy.value}" for kind, secrecy in can.secrecy.items()),
                "proven": ", ".join(proof.value for proof in can.proven),
                "login record": can.login_record
                or f"cannot be read: {can.cannot.get('logins', 'it does not say why')}",
                "from": _named[name][1] if name in _named else _HOUSE,
            }
        )
    return table


def markdown(pages: str | None = None) -> str:
    """The same as a Markdown table, with the connector's own reasons. `pages`: where the pages of ours are, to be
    linked; without it nothing is."""
    lines = [
        "| connector | phone system | operations | how passwords are kept | proven against |",
        "|---|---|---|---|---|",
    ]
    for name, family in families().items():
        can = family.capabilities()
        kinds = ", ".join(f"{kind.value}: **{secrecy.value}**" for kind, secrecy in can.secrecy.items())
        proven = ", ".join(proof.value for proof in can.proven)
        cells = (
            f"`{name}`" if pages is None or name in _named else f"[`{name}`]({pages}{name}.md)", can.title,
            _operations(can), f"{kinds}: {can.secrecy_why}" if kinds else can.secrecy_why,
            f"{proven}: {can.proven_how}" if proven else can.proven_how,
        )  # fmt: skip
        lines.append(f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"
