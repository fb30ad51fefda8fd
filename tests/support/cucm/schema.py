"""What of Cisco's AXL schemas the stand-in answers with: our own extract, compared with theirs by `make test-vendor`.

A field is its name and the first schema that has it (and, where it was taken out again, the first without it), in the
order of the schema's sequence.
"""

from __future__ import annotations

from typing import NamedTuple

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
AXL = "http://www.cisco.com/AXL/API/"
VERSIONS = ("8.5", "9.1", "10.0", "10.5", "11.0", "11.5", "12.0", "12.5", "14.0")


class Field(NamedTuple):
    """One element of a sequence."""

    name: str
    since: float = 0.0
    until: float = 99.0


LISTED = (
    Field("firstName"), Field("displayName", 11.0, 12.5), Field("lastName"), Field("userid"),
    Field("telephoneNumber", 0.0, 10.0), Field("mailid"), Field("primaryExtension"), Field("mlppPassword", 9.1),
    Field("telephoneNumber", 10.0), Field("ldapDirectoryName", 10.0, 12.5), Field("attendeesAccessCode", 11.0, 12.5),
)  # fmt: skip
"""LUser: what `listUser` may be asked for."""
READ = (
    Field("firstName"), Field("displayName", 11.0), Field("lastName"), Field("userid"), Field("password"),
    Field("pin"), Field("telephoneNumber", 0.0, 10.0), Field("mailid"), Field("associatedDevices"),
    Field("primaryExtension"), Field("digestCredentials"), Field("mlppPassword", 9.1), Field("telephoneNumber", 10.0),
    Field("ldapDirectoryName", 10.0),
    Field("attendeesAccessCode", 11.0),
)  # fmt: skip
"""RUser: what `getUser` may be asked for, and answers with when it is asked for nothing."""
WRITTEN = (
    Field("uuid"), Field("userid"), Field("firstName"), Field("displayName", 11.0), Field("lastName"),
    Field("password"), Field("pin"), Field("telephoneNumber", 0.0, 10.0), Field("mailid"), Field("digestCredentials"),
    Field("passwordCredentials"), Field("pinCredentials"), Field("telephoneNumber", 10.0),
)  # fmt: skip
"""UpdateUserReq."""
UNLOCKS_SINCE = 11.0
"""pwdResetHackCount and pinResetHackCount."""


def of(fields: tuple[Field, ...], version: str) -> list[str]:
    """The names that a version has, in order."""
    return [field.name for field in fields if field.since <= float(version) < field.until]
