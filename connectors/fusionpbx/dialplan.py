"""The inbound route that FusionPBX makes of a destination: its XML and its details, line by line, and the check that
nothing else is ever sent. FreeSWITCH runs what stands in a dialplan: `system`, `lua` or `${system …}` in one would be
a command on the phone system.

Source: FusionPBX, app/destinations/destination_edit.php ("build the xml dialplan", "dialplan details"), xml.php.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from connectors.errors import InvalidValue, Refused

AT_FUSIONPBX: Final = "Change it in FusionPBX (Dialplan, Destinations)."
_PLAIN: Final = r"[^\x00-\x1f\x7f<>&\"'${}\\|]{0,200}"
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME: Final = r"[A-Za-z0-9._-]{1,253}"
_NUMBER: Final = r"\+?[0-9]{3,20}"
_FIELD: Final = r"(?:destination_number|\$\{sip_to_user\}|\$\{sip_req_user\})"
_REGEX: Final = r"[0-9^$|()+?:\\]{5,200}"
_TRANSFER: Final = rf"[A-Za-z0-9*#+_.-]{{1,60}} XML {_NAME}"
_RING: Final = rf"(?:\$\{{[a-z][a-z0-9-]{{1,20}}\}}|{_PLAIN})"
_RECORDED: Final = (
    "record_path=${recordings_dir}/${domain_name}/archive/${strftime(%Y)}/${strftime(%b)}/${strftime(%d)}",
    "record_name=${uuid}.mp3", "record_name=${uuid}.wav", "record_append=true", "record_in_progress=true",
    "recording_follow_transfer=true", "record_stereo=true",
)  # fmt: skip
_SESSION: Final = "${record_path}/${record_name}"
_SET: Final = "|".join(
    (
        rf"domain_uuid={_UUID}", rf"domain_name={_NAME}", rf"provider_uuid={_UUID}",
        rf"effective_caller_id_name={_PLAIN}#\$\{{caller_id_name\}}", rf"(?:transfer_)?ringback={_RING}",
        *map(re.escape, _RECORDED),
    )
)  # fmt: skip
_EXPORT: Final = "|".join(
    ("call_direction=inbound", rf"(?:hold_music|accountcode|sip_h_Alert-Info)={_PLAIN}",
     rf"(?:transfer_)?ringback={_RING}")
)  # fmt: skip
_LINE: Final = re.compile(
    rf'<extension name="{_NUMBER}" continue="false" uuid="{_UUID}">|</extension>|</condition>'
    rf'|<condition field="{_FIELD}" expression="{_REGEX}">'
    rf'|<action application="set" data="(?:{_SET})" inline="true"/>'
    rf'|<action application="export" data="(?:{_EXPORT})" inline="true"/>'
    rf'|<action application="record_session" data="{re.escape(_SESSION)}" inline="false"/>'
    rf'|<action application="transfer" data="{_TRANSFER}"/>'
)
_DETAIL: Final = re.compile(
    rf"condition {_FIELD} - {_REGEX}|action set true (?:{_SET})|action export true (?:{_EXPORT})"
    rf"|action record_session false {re.escape(_SESSION)}|action transfer - {_TRANSFER}"
)


def line(name: str, value: object) -> None:
    """A line of a route's XML; the guard's check."""
    if not isinstance(value, str) or not _LINE.fullmatch(value):
        raise InvalidValue(f"{name} is not what an inbound route holds", next_step=AT_FUSIONPBX)


def detail(name: str, value: object) -> None:
    """A detail of a route, "TAG TYPE INLINE DATA"; the guard's check."""
    if not isinstance(value, str) or not _DETAIL.fullmatch(value):
        raise InvalidValue(f"{name} is not what an inbound route holds", next_step=AT_FUSIONPBX)


@dataclass(frozen=True, slots=True)
class Route:
    """What one destination does with a call: ring one extension, after a few settings."""

    name: str
    regex: str
    transfer: str
    dialplan: str
    field: str
    domain: str
    domain_name: str
    provider: str = ""
    cid_prefix: str = ""
    record: bool = False
    record_extension: str = "mp3"
    hold_music: str = ""
    distinctive_ring: str = ""
    ringback: str = ""
    accountcode: str = ""

    def _settings(self) -> list[tuple[str, str]]:
        """(application, data) of what stands before the transfer, in FusionPBX's order."""
        made = [("set", f"provider_uuid={self.provider}")] if self.provider else []
        if self.cid_prefix:
            made.append(("set", f"effective_caller_id_name={self.cid_prefix}#${{caller_id_name}}"))
        if self.record:
            wanted = [d for d in _RECORDED if not d.startswith("record_name") or d.endswith(self.record_extension)]
            made += [("set", data) for data in wanted] + [("record_session", _SESSION)]
        for application, key, value in (
            ("export", "hold_music", self.hold_music),
            ("export", "sip_h_Alert-Info", self.distinctive_ring),
            ("export", "ringback", self.ringback),
            ("export", "transfer_ringback", self.ringback),
            ("export", "accountcode", self.accountcode),
        ):
            if value:
                made.append((application, f"{key}={value}"))
        return made

    def lines(self) -> list[str]:
        """The XML. Refused when one of the destination's settings cannot be written so."""
        before = [
            ("export", "call_direction=inbound"), ("set", f"domain_uuid={self.domain}"),
            ("set", f"domain_name={self.domain_name}"), *self._settings(),
        ]  # fmt: skip
        inline = {"record_session": "false"}
        return self._checked(
            [
                f'<extension name="{self.name}" continue="false" uuid="{self.dialplan}">',
                f'<condition field="{self.field}" expression="{self.regex}">',
                *(
                    f'<action application="{app}" data="{data}" inline="{inline.get(app, "true")}"/>'
                    for app, data in before
                ),
                f'<action application="transfer" data="{self.transfer}"/>',
                "</condition>",
                "</extension>",
            ],
            _LINE,
        )  # fmt: skip

    def details(self) -> list[str]:
        """The details, which FusionPBX's dialplan pages show: there a ringback is set and not exported."""
        order = (
            "effective", "ringback", "transfer_ringback", "accountcode", "hold_music", "sip_h", "record_", "recording_",
            "${record",
        )  # fmt: skip
        made = [f"condition {self.field} - {self.regex}"]
        for beginning in order:
            for application, data in self._settings():
                if data.startswith(beginning):
                    shown = "set" if "ringback=" in data else application
                    made.append(f"action {shown} {'false' if shown == 'record_session' else 'true'} {data}")
        return self._checked([*made, f"action transfer - {self.transfer}"], _DETAIL)

    @staticmethod
    def _checked(made: list[str], form: re.Pattern[str]) -> list[str]:
        for one in made:
            if not form.fullmatch(one):
                raise Refused(
                    "this number's route has a setting that cannot be written from here", next_step=AT_FUSIONPBX
                )
        return made
