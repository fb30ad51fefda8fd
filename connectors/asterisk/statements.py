"""Everything that this connector can send, by name: SQL statements, and `expire`, which is none (`cache`).

Values are bound at the server; identifiers are ours. Reads name their columns. Nothing returns rows from a write. A
statement that is not here cannot be sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from psycopg import sql

from connectors.asterisk.settings import AsteriskRealtimeSettings
from connectors.contract import MOST_NAMES
from connectors.guard import Guard, Template, listed, number, optional, secret, text
from connectors.transport.postgres_role import TEMPLATES as ROLE_TEMPLATES
from connectors.transport.postgres_role import TEXTS as ROLE_TEXTS

READABLE: Final[Mapping[str, frozenset[str]]] = {
    "ps_endpoints": frozenset({"id", "callerid", "aors", "auth", "mailboxes", "context", "transport"}),
    "ps_auths": frozenset({"id", "auth_type", "username", "realm"}),
    "ps_aors": frozenset({"id", "contact", "max_contacts"}),
    "voicemail": frozenset({"uniqueid", "context", "mailbox", "fullname", "email", "pager"}),
    "ps_contacts": frozenset({"id", "endpoint", "uri", "expiration_time"}),
}
"""What the role may read of the tables touched; every other column of theirs counts as a secret."""

MAX_PAGE: Final = 500
_ID = text(255)
_BOX = text(80)
_NAME = text(80, pattern=r'[^"\\<>\s](?:[^"\\<>]*[^"\\<>\s])?')
_EMAIL = optional(text(80, pattern=r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\"]+"))
_DDI = text(20, pattern=r"\+?[0-9]{6,16}")


_IDS = listed(_ID, 64)
_SCOPE = {"contexts": listed(text(40), 64), "vmcontext": _BOX}
_PEOPLE = _SCOPE | {"limit": number(1, MAX_PAGE)}
_MAILBOX = {"context": _BOX, "mailbox": _BOX}

GUARD: Final = Guard(
    *ROLE_TEMPLATES,
    Template("expire", True),
    Template("people", False, _PEOPLE | {"cursor": text(255)}),
    Template("find", False, _PEOPLE | {"words": listed(text(200), 16)}),
    Template(
        "named", False, _SCOPE | {"names": listed(text(255), MOST_NAMES), "numbers": listed(text(255), MOST_NAMES)}
    ),
    Template("view", False, _SCOPE | {"id": _ID}),
    Template("own", False, _SCOPE | {"id": _ID}),
    Template("lock-own", False, _SCOPE | {"id": _ID}),
    Template("lock-box-of", False, {"id": _ID, "vmcontext": _BOX}),
    Template("box-users", False, {"id": _ID, "vmcontext": _BOX}),
    Template("ddis-of", False, {"id": _ID}),
    Template("box", False, _MAILBOX),
    Template("lock-box", False, _MAILBOX),
    Template("box-others", False, _MAILBOX | {"vmcontext": _BOX, "ids": _IDS}),
    Template("parts-others", False, {"ids": _IDS}),
    Template("extension-others", False, {"ids": _IDS, "extension": text(80)}),
    Template("lock-auths", False, {"ids": _IDS}),
    Template("devices", False, {"ids": _IDS}),
    Template("ddis", False, {"extension": text(80)}),
    Template("lock-ddis", False, {"extension": text(80)}),
    Template("ddi-owner", False, {"number": _DDI}),
    Template("set-callerid", True, {"id": _ID, "callerid": text(40)}),
    Template("set-fullname", True, _MAILBOX | {"name": _NAME}),
    Template("set-email", True, _MAILBOX | {"email": _EMAIL}),
    Template("set-pin", True, _MAILBOX | {"secret": secret}),
    Template("set-md5", True, {"id": _ID, "hash": text(32, pattern=r"[0-9a-f]{32}")}),
    Template("set-sha256", True, {"id": _ID, "hash": text(72, pattern=r"SHA-256:[0-9a-f]{64}")}),
    Template("insert-ddi", True, {"number": _DDI, "extension": text(80)}),
    Template("move-ddi", True, {"old": text(40), "new": _DDI, "extension": text(80)}),
    Template("delete-ddis", True, {"extension": text(80)}),
    Template("delete-contacts", True, {"ids": _IDS}),
    Template("delete-endpoints", True, {"ids": _IDS}),
    Template("delete-auths", True, {"ids": _IDS}),
    Template("delete-aors", True, {"ids": _IDS}),
    Template("delete-box", True, _MAILBOX),
)

# The rows that are people. `{extension}` is the caller id's number, else the endpoint's own name; `{box}` and
# `{boxcontext}` are the first mailbox named.
_USER: Final = """
    select e.id, e.callerid, e.auth, e.aors, e.mailboxes, {extension} as extension, {box} as box,
           {boxcontext} as boxcontext
    from {ps_endpoints} e
    where (cardinality(%(contexts)s::text[]) = 0 or e.context = any(%(contexts)s::text[]))
      and (coalesce(e.mailboxes, '') <> '' or coalesce(e.callerid, '') <> '')
"""


def _shown(source: str, more: str = "", numbers_of: str = "") -> str:
    """What is shown of the persons in `source`. Direct numbers are read once for all of them: the site's own table
    need have no index on the extension, and a look at it for each person would take minutes where there are many."""
    return (
        "select p.id, p.callerid, p.extension, v.fullname, v.email, {ddis} as ddis"  # noqa: S608 - of this file
        + more
        + " from "
        + source
        + """ p left join lateral (select x.fullname, x.email from {voicemail} x
        where x.mailbox = p.box and x.context = p.boxcontext order by x.uniqueid limit 1) v on true {numbers_of_"""
        + (numbers_of or source)
        + "} "
    )


_NUMBERS: Final = """left join (
    select d.{ext}::text as extension, array_agg(d.{number}::text order by d.{number}::text) as numbers
    from {ddi} d {where} group by d.{ext}::text) n
    on n.extension = p.extension"""


def _persons(more: str = "") -> str:
    """Two endpoints with one caller id and one mailbox are one person's two devices; the first stands for both."""
    # Concatenated from constants of this file, never from values: hence the noqa of S608.
    return (
        "with u as ("  # noqa: S608
        + _USER
        + more
        + """), persons as (select u.* from u where not exists (select 1 from u o
    where o.callerid = u.callerid and o.mailboxes = u.mailboxes and o.mailboxes <> ''
      and o.id collate "C" < u.id collate "C"))
"""
    )


_PERSONS: Final = _persons()
_OWN: Final = (
    "select p.id, p.callerid, p.auth, p.aors, p.extension, p.box, p.boxcontext from ("  # noqa: S608
    + _USER
    + """
      and (e.id = %(id)s or (e.mailboxes <> '' and (e.callerid, e.mailboxes) =
        (select s.callerid, s.mailboxes from {ps_endpoints} s where s.id = %(id)s)))) p order by p.id collate "C"
"""
)
_BOX_ROW: Final = (
    "select x.uniqueid, x.fullname, x.email from {voicemail} x "
    "where x.context = %(context)s and x.mailbox = %(mailbox)s order by x.uniqueid"
)
_BOX_OF: Final = "(select {boxcontext}, {box} from {ps_endpoints} e where e.id = %(id)s)"
_DDI_ROWS: Final = "select d.{number}::text from {ddi} d where d.{ext}::text = %(extension)s order by 1"
_OR_NUMBER: Final = (
    "or {extension} in (select d.{ext}::text from {ddi} d where d.{number}::text = any(%(numbers)s::text[]))"
)
# Quotes and brackets are how a caller id is written, and nobody's name: whoever looks for one finds not everybody.
_HAY: Final = (
    "concat_ws(' ', p.id, p.extension, translate(p.callerid, '\"<>\\', '    '), v.fullname, v.email, "
    "array_to_string({ddis}, ' '))"
)

_TEXTS: Final[Mapping[str, str]] = {
    **ROLE_TEXTS,
    "people": _PERSONS + """, page as (select p.* from persons p where p.id collate "C" > %(cursor)s
        order by p.id collate "C" limit %(limit)s)""" + _shown("page") + 'order by p.id collate "C"',  # noqa: S608
    # Words and what is searched are made once: lower-casing by language is what takes the time.
    "find": _PERSONS + ", words as materialized (select lower(normalize(w.word){collate}) as word "  # noqa: S608
        "from unnest(%(words)s::text[]) w(word)) "
        "select f.id, f.callerid, f.extension, f.fullname, f.email, f.ddis from (" + _shown(
        "persons", ", lower(normalize(" + _HAY + "){collate}) as hay", "all") + """offset 0) f
        where not exists (select 1 from words where position(words.word in f.hay) = 0)
        order by f.id collate "C" limit %(limit)s""",
    "named": _persons("and (e.id = any(%(names)s::text[]) or {extension} = any(%(names)s::text[]) {or_number})")
        + _shown("persons") + 'order by p.id collate "C"',
    "view": "with persons as (" + _USER + "and e.id = %(id)s)" + _shown("persons"),
    "own": _OWN,
    "lock-own": _OWN + " for update",
    "box": _BOX_ROW,
    "lock-box": _BOX_ROW + " for update",
    # Of a person whose own rows are not known yet: asked for together with them.
    "lock-box-of": "select x.uniqueid, x.fullname, x.email from {voicemail} x "  # noqa: S608 - of this file
        "where (x.context, x.mailbox) = " + _BOX_OF + " order by x.uniqueid for update",
    "box-users": "select e.id from {ps_endpoints} e where ({boxcontext}, {box}) = " + _BOX_OF + " limit 100",  # noqa: S608
    "box-others": """select e.id from {ps_endpoints} e where {box} = %(mailbox)s and {boxcontext} = %(context)s
        and e.id <> all(%(ids)s::text[]) limit 20""",
    "parts-others": """select e.id, e.auth, e.aors from {ps_endpoints} e where e.id <> all(%(ids)s::text[]) and exists
        (select 1 from {ps_endpoints} m where m.id = any(%(ids)s::text[]) and (
          string_to_array(replace(e.auth, ' ', ''), ',') && string_to_array(replace(m.auth, ' ', ''), ',')
          or string_to_array(replace(e.aors, ' ', ''), ',') && string_to_array(replace(m.aors, ' ', ''), ',')))
        limit 20""",
    "extension-others": """select e.id from {ps_endpoints} e where {extension} = %(extension)s
        and e.id <> all(%(ids)s::text[]) limit 20""",
    "lock-auths": """select a.id, a.auth_type::text, a.username, a.realm from {ps_auths} a
        where a.id = any(%(ids)s::text[]) order by a.id for update""",
    "devices": """select c.endpoint, c.uri, c.expiration_time from {ps_contacts} c
        where c.endpoint = any(%(ids)s::text[]) order by c.expiration_time desc nulls last, c.id limit 100""",
    "set-callerid": "update {ps_endpoints} set callerid = %(callerid)s where id = %(id)s",
    "set-fullname": "update {voicemail} set fullname = %(name)s where context = %(context)s and mailbox = %(mailbox)s",
    "set-email": "update {voicemail} set email = %(email)s where context = %(context)s and mailbox = %(mailbox)s",
    "set-pin": "update {voicemail} set password = %(secret)s where context = %(context)s and mailbox = %(mailbox)s",
    "set-md5": """update {ps_auths} set auth_type = 'md5', password = null, password_digest = null,
        md5_cred = %(hash)s where id = %(id)s""",
    # Asterisk takes no account for which it offers, or would itself use, an algorithm without a password of its own.
    "set-sha256": """update {ps_auths} set auth_type = 'md5', password = null, md5_cred = null,
        password_digest = %(hash)s, supported_algorithms_uas = 'SHA-256', supported_algorithms_uac = 'SHA-256'
        where id = %(id)s""",
    "delete-contacts": "delete from {ps_contacts} where endpoint = any(%(ids)s::text[])",
    "delete-endpoints": "delete from {ps_endpoints} where id = any(%(ids)s::text[])",
    "delete-auths": "delete from {ps_auths} where id = any(%(ids)s::text[])",
    "delete-aors": "delete from {ps_aors} where id = any(%(ids)s::text[])",
    "delete-box": "delete from {voicemail} where context = %(context)s and mailbox = %(mailbox)s",
}  # fmt: skip
_DDI_TEXTS: Final[Mapping[str, str]] = {
    "ddis": _DDI_ROWS,
    "ddis-of": """select d.{number}::text from {ddi} d
        where d.{ext}::text = (select {extension} from {ps_endpoints} e where e.id = %(id)s) order by 1""",
    "lock-ddis": _DDI_ROWS + " for update",
    "ddi-owner": "select d.{ext}::text from {ddi} d where d.{number}::text = %(number)s",
    "insert-ddi": "insert into {ddi} ({number}, {ext}) values (%(number)s, %(extension)s)",
    "move-ddi": """update {ddi} set {number} = %(new)s
        where {number}::text = %(old)s and {ext}::text = %(extension)s""",
    "delete-ddis": "delete from {ddi} where {ext}::text = %(extension)s",
}
_EXTENSION: Final = (
    r"coalesce(substring(e.callerid from '<\s*([^<>]+?)\s*>\s*$'), "
    r"substring(e.callerid from '^\s*([0-9+*#]+)\s*$'), e.id)"
)


def statements(settings: AsteriskRealtimeSettings, collation: str | None = None) -> dict[str, sql.Composed]:
    """The statements for one phone system, its identifiers quoted into their places."""
    names = {table: sql.Identifier(settings.namespace, table) for table in READABLE}
    first = "split_part(split_part(e.mailboxes, ',', 1), '@', {})"
    in_column = settings.mailbox == "mailboxes"
    parts: dict[str, sql.Composable] = {
        **names,
        "extension": sql.SQL(_EXTENSION),
        "box": sql.SQL(f"trim({first.format(1)})" if in_column else _EXTENSION),
        "boxcontext": sql.SQL(f"coalesce(nullif(trim({first.format(2)}), ''), %(vmcontext)s::text)"),
        "or_number": sql.SQL(""),
        "collate": sql.SQL(" collate {}").format(sql.Identifier(collation)) if collation else sql.SQL(""),
        "ddis": sql.SQL("null::text[]"),
        "numbers_of_all": sql.SQL(""),
        "numbers_of_page": sql.SQL(""),
        "numbers_of_persons": sql.SQL(""),
    }
    texts = dict(_TEXTS)
    if settings.ddi is not None:
        texts |= _DDI_TEXTS
        parts["ddi"] = sql.Identifier(settings.namespace, settings.ddi.table)
        parts["number"] = sql.Identifier(settings.ddi.number_column)
        parts["ext"] = sql.Identifier(settings.ddi.extension_column)
        parts["ddis"] = sql.SQL("coalesce(n.numbers, array[]::text[])")
        parts["or_number"] = sql.SQL(_OR_NUMBER).format(**parts)
        table = {key: parts[key] for key in ("number", "ddi", "ext")}
        parts["numbers_of_all"] = sql.SQL(_NUMBERS).format(where=sql.SQL(""), **table)
        for source in ("page", "persons"):
            theirs = sql.SQL("where d.{ext}::text in (select s.extension from {source} s)")
            where = theirs.format(ext=parts["ext"], source=sql.Identifier(source))
            parts[f"numbers_of_{source}"] = sql.SQL(_NUMBERS).format(where=where, **table)
    return {name: sql.SQL(template).format(**parts) for name, template in texts.items()}
