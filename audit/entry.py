"""What an event becomes: an entry of the log, the canonical bytes that are hashed."""

from __future__ import annotations

from collections.abc import Mapping

from audit import canonical
from audit.events import SCHEMA, Event


def entry(event: Event, event_id: str, time_ms: int, commitments: Mapping[str, str]) -> bytes:
    """Its canonical bytes (audit/canonical.py). CanonicalError when it has none.

    Written out in the order of its keys, since sorting and walking them anew is most of what an event costs.
    """
    quoted, written = canonical.quoted, canonical.written
    told = f'{{"actor":{quoted(event.actor)}'
    if commitments:
        told += f',"commit":{written(dict(commitments))}'
    if event.data:
        told += f',"data":{written(dict(event.data))}'
    if event.grant is not None:
        told += f',"grant":{quoted(event.grant)}'
    told += f',"id":{quoted(event_id)},"kind":{quoted(event.kind)},"log":{quoted(event.log)}'
    if event.operation is not None:
        told += f',"operation":{quoted(event.operation)}'
    if event.request is not None:
        told += f',"request":{quoted(event.request)}'
    if event.session is not None:
        told += f',"session":{quoted(event.session)}'
    if event.subject is not None:
        told += f',"subject":{quoted(event.subject)}'
    if event.system is not None:
        told += f',"system":{quoted(event.system)}'
    return canonical.as_bytes(f'{told},"time":{time_ms},"v":{SCHEMA}}}')
