"""The rights that our role has on a FusionPBX's database, and the SQL of docs/connectors/fusionpbx.md that grants them.

What is not in `READS` is refused by the database: v_extensions.password, v_voicemails.voicemail_password,
v_users.password, salt, api_key and user_totp_secret, v_device_lines.password, and every dialplan, in which PINs stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connectors.transport.postgres_role import Documented

_ROUTE: Final = """destination_number destination_prefix destination_trunk_prefix destination_area_code"""
READS: Final[Mapping[str, frozenset[str]]] = {
    table: frozenset(columns.split())
    for table, columns in {
        "v_domains": "domain_uuid domain_name",
        "v_extensions": "extension_uuid domain_uuid extension number_alias effective_caller_id_name "
        "directory_first_name directory_last_name user_context follow_me_uuid",
        "v_extension_users": "domain_uuid extension_uuid user_uuid",
        "v_extension_settings": "domain_uuid extension_uuid",
        "v_users": "user_uuid domain_uuid username user_email",
        "v_user_groups": "domain_uuid user_uuid group_name",
        "v_user_settings": "domain_uuid user_uuid",
        "v_voicemails": "voicemail_uuid domain_uuid voicemail_id voicemail_mail_to",
        "v_voicemail_messages": "domain_uuid voicemail_uuid",
        "v_voicemail_options": "domain_uuid voicemail_uuid",
        "v_voicemail_destinations": "domain_uuid voicemail_uuid voicemail_uuid_copy",
        "v_voicemail_greetings": "domain_uuid voicemail_id",
        "v_follow_me": "domain_uuid follow_me_uuid",
        "v_follow_me_destinations": "domain_uuid follow_me_uuid",
        "v_ring_group_destinations": "domain_uuid destination_number",
        "v_device_lines": "domain_uuid server_address user_id",
        "v_destinations": "destination_uuid domain_uuid dialplan_uuid fax_uuid provider_uuid destination_type "
        f"{_ROUTE} destination_condition_field destination_cid_name_prefix destination_context destination_record "
        "destination_hold_music destination_distinctive_ring destination_ringback destination_accountcode "
        "destination_conditions destination_actions destination_app destination_data",
        "v_dialplans": "domain_uuid dialplan_uuid",
        "v_dialplan_details": "domain_uuid dialplan_uuid",
    }.items()
}
UPDATES: Final[Mapping[str, tuple[str, ...]]] = {
    "v_extensions": ("effective_caller_id_name", "directory_first_name", "directory_last_name", "password"),
    "v_users": ("user_email", "password", "salt"),
    "v_voicemails": ("voicemail_mail_to", "voicemail_password"),
    "v_device_lines": ("password",),
    "v_destinations": (*_ROUTE.split(), "destination_number_regex", "dialplan_uuid"),
    "v_dialplans": ("dialplan_name", "dialplan_number", "dialplan_xml"),
}
INSERTS: Final[Mapping[str, tuple[str, ...]]] = {
    "v_destinations": (
        "destination_uuid", "domain_uuid", "dialplan_uuid", "destination_type", "destination_number",
        "destination_prefix", "destination_number_regex", "destination_context", "destination_type_voice",
        "destination_actions", "destination_app", "destination_data", "destination_order", "destination_enabled",
    ),
    "v_dialplans": (
        "dialplan_uuid", "domain_uuid", "app_uuid", "dialplan_context", "dialplan_name", "dialplan_number",
        "dialplan_continue", "dialplan_xml", "dialplan_order", "dialplan_enabled",
    ),
    "v_dialplan_details": (
        "dialplan_detail_uuid", "domain_uuid", "dialplan_uuid", "dialplan_detail_tag", "dialplan_detail_type",
        "dialplan_detail_data", "dialplan_detail_inline", "dialplan_detail_group", "dialplan_detail_order",
        "dialplan_detail_enabled",
    ),
}  # fmt: skip
DELETES: Final = frozenset(READS) - {"v_domains", "v_device_lines"}
_SECRETS: Final = frozenset(
    {
        "password", "salt", "api_key", "user_totp_secret", "voicemail_password", "device_password", "agent_password",
        "pin_number", "moderator_pin", "participant_pin", "remember_validator", "dialplan_xml", "dialplan_detail_data",
        "device_username_password", "fax_email_connection_password", "default_setting_value", "domain_setting_value",
        "user_setting_value",
    }
)  # fmt: skip
"""Columns of other tables of FusionPBX's that hold passwords, PINs, or settings among which passwords are."""


def documented(schema: str) -> Documented:
    """What the page grants, in this schema."""
    return Documented(schema, READS, UPDATES, DELETES, _SECRETS, INSERTS)


def grants(role: str = "frameroom") -> list[str]:
    """The page's grants, one a line, in a stable order."""
    lines = []
    for right, tables in (("select", READS), ("update", UPDATES), ("insert", INSERTS)):
        for table, columns in tables.items():
            names = ", ".join(sorted(columns) if right == "select" else columns)
            lines.append(f"grant {right} ({names}) on {table} to {role};")
    return [*lines, f"grant delete on {', '.join(sorted(DELETES))} to {role};"]


def policies(domain: str, role: str = "frameroom") -> list[str]:
    """The page's second half: the database itself shows the role one domain alone."""
    lines = []
    for table in READS:
        mine = f"domain_uuid = '{domain}'"
        if table == "v_user_groups":  # an administrator's groups may be another domain's: they have to be seen
            mine = "user_uuid in (select user_uuid from v_users)"
        lines += [
            f"alter table {table} enable row level security;",
            f"create policy {role} on {table} to {role} using ({mine});",
        ]
    return lines
