"""FusionPBX's own definitions of its tables (app_config.php), read as text: nothing of it is run or kept here."""

from __future__ import annotations

import re
from pathlib import Path

_APPS = (
    "core/domains", "core/users", "core/user_settings", "app/extensions", "app/extension_settings", "app/voicemails",
    "app/voicemail_greetings", "app/follow_me", "app/ring_groups", "app/devices", "app/destinations", "app/dialplans",
)  # fmt: skip
_SET = re.compile(r"""^\s*\$apps\[\$x\]\['db'\]\[\$y\]((?:\[[^]]+\])+)\s*=\s*["']([^"']*)["'];""")
_PLUS = re.compile(r"^\s*\$(z)(?:\+\+|=0);")


def tables(source: Path) -> dict[str, dict[str, str]]:
    """Table → column → type on PostgreSQL ("uuid", "text primary key")."""
    found: dict[str, dict[str, str]] = {}
    for app in _APPS:
        _read((source / app / "app_config.php").read_text(encoding="utf-8"), found)
    return found


def _read(text: str, found: dict[str, dict[str, str]]) -> None:
    table, field = "", dict[str, str]()

    def keep() -> None:
        if table and field.get("name") and field.get("deprecated") != "true":
            kind = field.get("pgsql") or field.get("type", "text")
            kind = "text" if kind == "text_array" else kind
            found[table][field["name"]] = kind + (" primary key" if field.get("key") == "primary" else "")
        field.clear()

    for line in text.splitlines():
        if _PLUS.match(line):
            keep()
        if not (match := _SET.match(line)):
            continue
        path, value = re.findall(r"\['?([^]']+)'?\]", match[1]), match[2]
        if path[0] == "table" and path[1:] in (["name"], ["name", "text"]):
            keep()
            table = value
            found[table] = {}
        elif path[0] == "fields":
            what = path[2:]
            name = {"name": "name", "name.text": "name", "type": "type", "type.pgsql": "pgsql", "key.type": "key",
                    "deprecated": "deprecated"}.get(".".join(what))  # fmt: skip
            if name:
                field[name] = value
    keep()


def create(columns: dict[str, dict[str, str]]) -> str:
    """SQL that makes these tables."""
    return "\n".join(
        f"create table {table} ({', '.join(f'{name} {kind}' for name, kind in fields.items())});"
        for table, fields in columns.items()
    )
