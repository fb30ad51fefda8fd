"""The SQL of every request to the database, by name. Values are bound at the server; identifiers are ours.

Reads name their columns. Nothing returns rows from a write. Every statement but for the search of a number's owner is
bound to one domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from psycopg import sql

from connectors.fusionpbx.rights import READS
from connectors.fusionpbx.settings import FusionPbxSettings
from connectors.transport.postgres_role import TEXTS

# The one mailbox of an extension: its alias's where that is a number, else its own (extension_edit.php).
_BOX_ID: Final = "case when {0}.number_alias ~ '^[0-9]+$' then {0}.number_alias else {0}.extension end"
_MINE: Final = "domain_uuid = %(domain)s::uuid"
# What a destination does with a call. `destination_app` and `_data` are what old ones have instead.
_ACTIONS: Final = """(select j.value ->> 'destination_app' as app, j.value ->> 'destination_data' as data
    from json_array_elements(case when json_typeof(d.destination_actions) = 'array'
      then d.destination_actions else '[]'::json end) j
    union all select d.destination_app, d.destination_data
    where coalesce(json_typeof(d.destination_actions), 'null') <> 'array')"""
# Reading the JSON of 50,000 destinations takes a quarter of a second. Of one whose JSON is, letter by letter, what
# FusionPBX writes for a single action, the other two columns say the same; whatever looks otherwise is read.
_PLAIN: Final = (
    'coalesce(d.destination_actions::text = \'[{{"destination_app":"\' || d.destination_app || '
    '\'","destination_data":"\' || d.destination_data || \'"}}]\', false)'
)
_NUMBER: Final = "(coalesce(d.destination_area_code, '') || coalesce(d.destination_number, ''))"
# As E.164 where it is one, else as it is; {cc} and {trunk} are the site's.
_SHOWN: Final = (
    "(select case when s.made ~ '^[+][1-9][0-9]{{5,14}}$' then s.made "
    "else coalesce(d.destination_prefix, '') || s.plain end from (select b.plain, "
    "case when b.plain like '+%%' then b.plain when coalesce(d.destination_prefix, '') <> '' "
    "then '+' || ltrim(d.destination_prefix, '+') || b.bare "
    "when {national} or b.bare <> b.plain then '+' || {cc} || b.bare else '+' || b.plain end as made from (select "
    + _NUMBER
    + " as plain, case when {trunk} <> '' and left("
    + _NUMBER
    + ", 1) = {trunk} then substr("
    + _NUMBER
    + ", 2) else "
    + _NUMBER
    + " end as bare) b) s)"
)
_COLUMNS: Final = """e.extension_uuid, e.extension, e.number_alias, e.effective_caller_id_name,
    e.directory_first_name, e.directory_last_name, e.user_context, e.follow_me_uuid"""


def _shown(source: str, only: bool, more: str = "") -> str:
    """What is shown of the persons in `source`. Mailboxes, users and numbers are read once for all of them: FusionPBX
    has no index on what they are looked for by. `only`: those of the few persons in `source`."""
    few_boxes = f"and v.voicemail_id in (select {_BOX_ID.format('q')} from {source} q)" if only else ""
    few_users = f"and x.extension_uuid in (select q.extension_uuid from {source} q)" if only else ""
    few_numbers = "and split_part(a.data, ' ', 1) in (select t.target from targets t)" if only else ""
    inbound = f"d.{_MINE} and d.destination_type = 'inbound'"
    return f""", targets as (select q.extension_uuid, q.extension as target from {source} q where q.extension <> ''
            union select q.extension_uuid, q.number_alias from {source} q where q.number_alias <> ''),
        leads as (select {{shown}} as number, split_part(d.destination_data, ' ', 1) as target
            from {{v_destinations}} d where {inbound} and {_PLAIN} and d.destination_app = 'transfer'
              and split_part(d.destination_data, ' ', 2) = 'XML' {few_numbers.replace("a.data", "d.destination_data")}
            union all select {{shown}}, split_part(a.data, ' ', 1)
            from {{v_destinations}} d cross join lateral {_ACTIONS} a
            where {inbound} and not {_PLAIN} and a.app = 'transfer' and split_part(a.data, ' ', 2) = 'XML'
              {few_numbers}),
        numbers as (select t.extension_uuid, array_agg(distinct l.number order by l.number) as numbers
            from leads l join targets t on t.target = l.target group by t.extension_uuid),
        boxes as (select distinct on (v.voicemail_id) v.voicemail_id, v.voicemail_mail_to as mail
            from {{v_voicemails}} v where v.{_MINE} {few_boxes} order by v.voicemail_id, v.voicemail_uuid),
        own_users as (select x.extension_uuid, max(u.user_email) as mail
            from {{v_extension_users}} x join {{v_users}} u on u.user_uuid = x.user_uuid and u.{_MINE}
            where x.{_MINE} {few_users} group by x.extension_uuid having count(distinct u.user_uuid) = 1)
        select p.extension_uuid::text as id, coalesce(p.extension, '') as extension, p.effective_caller_id_name as name,
          p.directory_first_name as first, p.directory_last_name as last,
          case when b.voicemail_id is not null then b.mail else u.mail end as mail,
          coalesce(n.numbers, array[]::text[]) as numbers {more}
        from {source} p left join boxes b on b.voicemail_id = {_BOX_ID.format("p")}
        left join own_users u on u.extension_uuid = p.extension_uuid
        left join numbers n on n.extension_uuid = p.extension_uuid """


_OWN: Final = (
    "select e.extension_uuid::text, e.extension, e.number_alias, e.effective_caller_id_name, "
    "e.directory_first_name, e.directory_last_name, e.user_context, e.follow_me_uuid::text "
    "from {v_extensions} e where e." + _MINE + " and e.extension_uuid = %(id)s::uuid"
)
_BOXES: Final = (
    "select v.voicemail_uuid::text, v.voicemail_id, v.voicemail_mail_to from {v_voicemails} v where v."
    + _MINE + " and v.voicemail_id = any(%(extensions)s::text[]) order by v.voicemail_id, v.voicemail_uuid"
)  # fmt: skip
_USERS: Final = (
    "select u.user_uuid::text, u.username, u.user_email, array(select coalesce(g.group_name, '') "
    "from {v_user_groups} g where g.user_uuid = u.user_uuid order by 1), (select count(*) from {v_extension_users} o "
    "where o.user_uuid = u.user_uuid and o.extension_uuid <> %(id)s::uuid) "
    "from {v_users} u where u." + _MINE + " and u.user_uuid in (select x.user_uuid from {v_extension_users} x where x."
    + _MINE + " and x.extension_uuid = %(id)s::uuid) order by u.user_uuid"
)  # fmt: skip
_ROUTES: Final = (
    "select d.destination_uuid::text, d.dialplan_uuid::text, {shown}, d.destination_number, "
    "d.destination_prefix, d.destination_trunk_prefix, d.destination_area_code, d.destination_context, "
    "d.destination_condition_field, d.provider_uuid::text, d.fax_uuid::text, d.destination_cid_name_prefix, "
    "d.destination_record::text, d.destination_hold_music, d.destination_distinctive_ring, d.destination_ringback, "
    "d.destination_accountcode, case json_typeof(d.destination_conditions) "
    "when 'array' then json_array_length(d.destination_conditions) when 'object' then 1 else 0 end, "
    "array(select a.app || ' ' || a.data from " + _ACTIONS + " a where a.app <> '') "
    "from {v_destinations} d where d." + _MINE + " and d.destination_type = 'inbound' and "
    "exists (select 1 from " + _ACTIONS + " a where a.app = 'transfer' and split_part(a.data, ' ', 2) = 'XML' and "
    "split_part(a.data, ' ', 1) = any(%(extensions)s::text[])) order by 3, 1"
)  # fmt: skip
# As FusionPBX indents it; the guard takes no tabs and no line ends.
_XML: Final = r"""(select string_agg(case when l.line like '%%extension%%' and l.line like '<ext%%' then ''
    when l.line = '</extension>' then '' when l.line like '%%condition%%' and l.line not like '<act%%' then E'\t'
    else E'\t\t' end || l.line || E'\n', '' order by l.at)
    from unnest(%(lines)s::text[]) with ordinality l(line, at))"""
_HAY: Final = (
    "concat_ws(' ', p.extension, p.number_alias, p.effective_caller_id_name, p.directory_first_name, "
    "p.directory_last_name, case when b.voicemail_id is not null then b.mail else u.mail end, "
    "array_to_string(n.numbers, ' '))"
)
_DATA: Final = "%(extension)s::text || ' XML ' || %(to)s::text"


def _delete(table: str, where: str) -> str:
    return f"delete from {{{table}}} where {_MINE} and {where}"


# A dialplan that another number uses too stays.
_UNUSED: Final = (
    "dialplan_uuid = any(%(dialplans)s::uuid[]) and dialplan_uuid not in "
    "(select d.dialplan_uuid from {v_destinations} d where d.dialplan_uuid is not null)"
)
_EXTENSION: Final = "extension_uuid = %(id)s::uuid"
_OF_BOX: Final = "voicemail_uuid = %(box)s::uuid"
_OF_USER: Final = "user_uuid = %(user)s::uuid"

_TEXTS: Final[Mapping[str, str]] = {
    **TEXTS,
    "domain": "select d.domain_uuid::text, d.domain_name from {v_domains} d where lower(d.domain_name) = "
        "lower(%(name)s) order by 1 limit 2",
    "other-domains": "select count(*), row_security_active('{v_domains}'::regclass) from {v_domains} d "
    "where d.domain_uuid <> %(domain)s::uuid",
    "people": "with page as (select " + _COLUMNS + " from {v_extensions} e where e." + _MINE
        + """ and (coalesce(e.extension, '') collate "C", e.extension_uuid)
        > (convert_from(decode(%(after)s::text, 'hex'), 'UTF8'), %(id)s::uuid)
        order by coalesce(e.extension, '') collate "C", e.extension_uuid limit %(limit)s)""" + _shown("page", True)
        + """order by coalesce(p.extension, '') collate "C", p.extension_uuid""",
    "find": "with words as materialized (select lower(normalize(w.word){collate}) as word "
        "from unnest(%(words)s::text[]) w(word)), persons as (select " + _COLUMNS + " from {v_extensions} e where e."
        + _MINE + ")" + _shown("persons", False, ", lower(normalize(" + _HAY + "){collate}) as hay").replace(
            "select p.extension_uuid::text as id", "select f.id, f.extension, f.name, f.first, f.last, f.mail, "
            "f.numbers from (select p.extension_uuid::text as id", 1)
        + """offset 0) f where not exists (select 1 from words where position(words.word in f.hay) = 0)
        order by f.extension collate "C", f.id limit %(limit)s""",
    "view": "with one as (select " + _COLUMNS + " from {v_extensions} e where e." + _MINE
        + " and e.extension_uuid = %(id)s::uuid)" + _shown("one", True),
    "own": _OWN, "lock-own": _OWN + " for update",
    "sharers": "select e.extension from {v_extensions} e where e." + _MINE + " and e." + _EXTENSION.replace("=", "<>")
        + " and (e.extension = any(%(extensions)s::text[]) or e.number_alias = any(%(extensions)s::text[])) limit 20",
    "boxes": _BOXES, "lock-boxes": _BOXES + " for update",
    "users": _USERS, "lock-users": _USERS + " for update of u",
    "routes": _ROUTES, "lock-routes": _ROUTES + " for update of d",
    "number-owner": "select 1 from {v_destinations} d where d.destination_type = 'inbound' and {shown} = %(number)s "
        "and d.destination_uuid <> all(%(ids)s::uuid[]) limit 1",
    "address-owner": "select 1 from {v_users} u where u." + _MINE + " and u." + _OF_USER.replace("=", "<>")
        + " and lower(%(email)s::text) in (lower(u.user_email), lower(u.username)) limit 1",
    "set-name": "update {v_extensions} set effective_caller_id_name = %(name)s where " + _MINE + " and " + _EXTENSION,
    "set-directory": "update {v_extensions} set directory_first_name = %(first)s, directory_last_name = %(last)s "
        "where " + _MINE + " and " + _EXTENSION,
    "set-mail": "update {v_voicemails} set voicemail_mail_to = %(email)s where " + _MINE + " and " + _OF_BOX,
    "set-user-email": "update {v_users} set user_email = %(email)s where " + _MINE + " and " + _OF_USER,
    "set-pin": "update {v_voicemails} set voicemail_password = %(secret)s where " + _MINE + " and " + _OF_BOX,
    "set-sip": "update {v_extensions} set password = %(secret)s where " + _MINE + " and " + _EXTENSION,
    "set-lines": "update {v_device_lines} set password = %(secret)s where " + _MINE
        + " and server_address = %(name)s and user_id = %(extension)s",
    "set-portal": "update {v_users} set password = %(hash)s, salt = null where " + _MINE + " and " + _OF_USER,
    "move-route": "update {v_destinations} set destination_number = %(number)s, destination_prefix = %(prefix)s, "
        "destination_trunk_prefix = %(trunk)s, destination_area_code = null, destination_number_regex = %(regex)s, "
        "dialplan_uuid = %(dialplan)s::uuid where " + _MINE + " and destination_uuid = %(destination)s::uuid",
    "insert-route": "insert into {v_destinations} (destination_uuid, domain_uuid, dialplan_uuid, "
        "destination_type, destination_number, destination_prefix, destination_number_regex, destination_context, "
        "destination_type_voice, destination_actions, destination_app, destination_data, destination_order, "
        "destination_enabled) values (%(destination)s::uuid, %(domain)s::uuid, %(dialplan)s::uuid, 'inbound', "
        "%(number)s, %(prefix)s, %(regex)s, %(context)s, 1, "
        """('[{{"destination_app":"transfer","destination_data":' || to_json(""" + _DATA + ")::text || '}}]')::json, "
        "'transfer', " + _DATA + ", 100, 'true')",
    "set-dialplan": "update {v_dialplans} set dialplan_name = %(number)s, dialplan_number = %(number)s, "
        "dialplan_xml = " + _XML + " where " + _MINE + " and dialplan_uuid = %(dialplan)s::uuid",
    # c03b422e-… is FusionPBX's own id of inbound routes (app/dialplan_inbound).
    "insert-dialplan": "insert into {v_dialplans} (dialplan_uuid, domain_uuid, app_uuid, dialplan_context, "
        "dialplan_name, dialplan_number, dialplan_continue, dialplan_xml, dialplan_order, dialplan_enabled) values "
        "(%(dialplan)s::uuid, %(domain)s::uuid, 'c03b422e-13a8-bd1b-e42b-b6b9b4d27ce4', %(context)s, %(number)s, "
        "%(number)s, 'false', " + _XML + ", 100, 'true')",
    "insert-details": r"""insert into {v_dialplan_details} (dialplan_detail_uuid, domain_uuid, dialplan_uuid,
          dialplan_detail_tag, dialplan_detail_type, dialplan_detail_inline, dialplan_detail_data,
          dialplan_detail_group, dialplan_detail_order, dialplan_detail_enabled)
        select gen_random_uuid(), %(domain)s::uuid, %(dialplan)s::uuid, split_part(l.detail, ' ', 1),
          split_part(l.detail, ' ', 2), nullif(split_part(l.detail, ' ', 3), '-'),
          regexp_replace(l.detail, '^\S+ \S+ \S+ ', ''), 0, 10 + 10 * l.at, 'true'
        from unnest(%(details)s::text[]) with ordinality l(detail, at)""",
    "clear-details": _delete("v_dialplan_details", "dialplan_uuid = %(dialplan)s::uuid"),
    "delete-details": _delete("v_dialplan_details", _UNUSED),
    "delete-dialplans": _delete("v_dialplans", _UNUSED),
    "delete-routes": _delete("v_destinations", "destination_uuid = any(%(destinations)s::uuid[])"),
    "delete-extension": _delete("v_extensions", _EXTENSION),
    "delete-extension-users": _delete("v_extension_users", _EXTENSION),
    "delete-extension-settings": _delete("v_extension_settings", _EXTENSION),
    "delete-follow-me": _delete("v_follow_me", "follow_me_uuid = %(follow_me)s::uuid"),
    "delete-follow-me-destinations": _delete("v_follow_me_destinations", "follow_me_uuid = %(follow_me)s::uuid"),
    "delete-ring-group-destinations": _delete(
        "v_ring_group_destinations", "destination_number = any(%(extensions)s::text[])"),
    "delete-box": _delete("v_voicemails", _OF_BOX),
    "delete-box-messages": _delete("v_voicemail_messages", _OF_BOX),
    "delete-box-options": _delete("v_voicemail_options", _OF_BOX),
    "delete-box-destinations": _delete(
        "v_voicemail_destinations", "(" + _OF_BOX + " or voicemail_uuid_copy = %(box)s::uuid)"),
    "delete-box-greetings": _delete("v_voicemail_greetings", "voicemail_id = %(extension)s"),
    "delete-user": _delete("v_users", _OF_USER),
    "delete-user-groups": _delete("v_user_groups", _OF_USER),
    "delete-user-settings": _delete("v_user_settings", _OF_USER),
}  # fmt: skip


def statements(settings: FusionPbxSettings, collation: str | None = None) -> dict[str, sql.Composed]:
    """The statements for one phone system, its identifiers quoted into their places."""
    numbers = settings.numbers
    own = {
        "cc": sql.Literal(numbers.country_code), "trunk": sql.Literal(numbers.trunk),
        "national": sql.Literal(numbers.write == "national" and not numbers.trunk),
    }  # fmt: skip
    parts: dict[str, sql.Composable] = {
        **{table: sql.Identifier(settings.namespace, table) for table in READS},
        "shown": sql.SQL(_SHOWN).format(**own),
        "collate": sql.SQL(" collate {}").format(sql.Identifier(collation)) if collation else sql.SQL(""),
    }
    return {name: sql.SQL(text).format(**parts) for name, text in _TEXTS.items()}
