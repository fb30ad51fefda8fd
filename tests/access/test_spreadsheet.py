"""A company's own spreadsheets, however they were saved: read as meant, or refused in words that say where."""

from __future__ import annotations

import datetime
import tracemalloc
import zipfile
from pathlib import Path

import openpyxl
import pytest

from gateway.access import spreadsheet
from gateway.access.columns import KINDS, Refused, checked
from gateway.access.sheet_rows import SheetRow, read
from gateway.errors import InvalidError

ROOT = Path(__file__).parents[2]
HEADER = "Customer;E-Mail;Name;Telephone"


def rows(path: Path, kind: str | None = None, ignore: bool = False) -> tuple[list[SheetRow], list[str]]:
    said: list[str] = []
    return list(read(path, kind, ignore, said.append)), said


def book(path: Path, **sheets: list[list[object]]) -> Path:
    made = openpyxl.Workbook()
    made.remove(made.worksheets[0])
    for name, lines in sheets.items():
        sheet = made.create_sheet(name)
        for line in lines:
            sheet.append(line)
    made.save(path)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_same_rows_however_a_csv_was_saved(tmp_path: Path, encoding: str, separator: str) -> None:
    file = tmp_path / "contacts.csv"
    text = f"{HEADER}\r\nBräu & Söhne;z@x.example;Zoë;020 7946 0900\r\n".replace(";", separator)
    file.write_bytes(text.encode(encoding))
    (row,), _ = rows(file)
    assert (row.place, row.kind, row.refusal) == ("2", "contact", "")
    assert row.cells == {
        "customer": "Bräu & Söhne", "email": "z@x.example", "name": "Zoë", "phone": "020 7946 0900"
    }  # fmt: skip


def test_windows_1252_is_said_to_have_been_assumed(tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    file.write_bytes(f"{HEADER}\nBräu;z@x.example;Zoë;1".encode("cp1252"))
    _, said = rows(file)
    assert any("Windows-1252" in note for note in said)


def test_rows_keep_the_number_that_a_spreadsheet_program_shows(tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    file.write_text(f'{HEADER}\n\n;;;\n"Brook\nand Sons";a@x.example;A;1\n\nBrook;b@x.example;B;2\n')
    found, _ = rows(file)
    assert [row.place for row in found] == ["4", "6"]


def test_an_xlsx_with_a_sheet_a_kind(tmp_path: Path) -> None:
    file = book(
        tmp_path / "all.xlsx",
        Customers=[["Our customers in 2026"], [], ["Customer", "Region"], ["Brook", "uk"]],
        Sites=[["Customer", "Site", "Town"], ["Brook", "Leeds", "Leeds"]],
        Contacts=[["Customer", "Name", "Mail", "Tel"], ["Brook", "Kate", "k@x.example", 2079460900], []],
    )
    found, _ = rows(file)
    assert [(row.place, row.kind) for row in found] == [
        ("Customers 4", "customer"), ("Sites 2", "site"), ("Contacts 2", "contact")
    ]  # fmt: skip
    # A cell that lost its zero is still the same number.
    assert checked("contact", found[2].cells, "uk")["phone"] == "+442079460900"


def test_a_cell_that_became_a_date_is_refused_and_a_time_is_read(tmp_path: Path) -> None:
    header = ["Customer", "Operations", "From", "To", "Zone"]
    line = ["Brook", "find", datetime.time(8, 0), datetime.time(17, 30), datetime.date(2026, 2, 1)]
    (row,), _ = rows(book(tmp_path / "agreements.xlsx", Agreements=[header, line]))
    assert (row.cells["from"], row.cells["to"]) == ("08:00", "17:30")
    assert "zone: a date (01 Feb 2026)" in row.refusal


def test_a_formula_whose_result_was_never_saved_is_refused_with_its_cell(tmp_path: Path) -> None:
    file = book(tmp_path / "s.xlsx", Customers=[["Customer"], ["Brook"], ['="Bro" & "ok"']])
    with pytest.raises(InvalidError, match="cell A3 holds an error, or a formula"):
        rows(file)


def test_a_formula_and_a_rounded_number_in_a_csv_are_refused_by_row(tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    file.write_text(f"{HEADER}\nBrook;a@x.example;=A1;1\nBrook;b@x.example;B;4.42079E+11\n")
    found, _ = rows(file)
    assert found[0].refusal == "name: a formula, not its result"
    assert "phone: a number that was rounded" in found[1].refusal


@pytest.mark.parametrize("header", ["Password", "SIP secret", "voicemail PIN", "Private Key", "pass-phrase"])
def test_a_column_of_secrets_refuses_the_whole_file_without_showing_one(tmp_path: Path, header: str) -> None:
    file = tmp_path / "systems.csv"
    file.write_text(f"Customer,System,{header}\nBrook,PBX,CANARY-1234\n")
    with pytest.raises(InvalidError, match="would hold secrets") as refused:
        rows(file, ignore=True)
    assert "CANARY" not in refused.value.message + refused.value.next_step


def test_unknown_columns_are_all_named_with_the_nearest_and_can_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    file.write_text("Customer,Name,Emial,Fax\nBrook,Kate,k@x.example,1\n")
    with pytest.raises(InvalidError) as refused:
        rows(file)
    assert '"Emial" (nearest: email)' in refused.value.message
    assert '"Fax"' in refused.value.message
    (row,), said = rows(file, ignore=True)
    assert row.cells == {"customer": "Brook", "name": "Kate"}
    assert any("Fax" in note for note in said)


def test_two_columns_that_mean_the_same_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    file.write_text("Customer,Name,Email,E-mail address\nBrook,Kate,k@x.example,j@x.example\n")
    with pytest.raises(InvalidError, match="two columns mean email"):
        rows(file)


def test_a_name_and_an_address_alone_do_not_tell_a_contact_from_an_approver(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("Customer,Name,Email\nBrook,Kate,k@x.example\n")
    with pytest.raises(InvalidError, match="does not say what its rows are"):
        rows(file)
    (row,), _ = rows(file, "approver")
    assert row.kind == "approver"


def test_kinds_may_be_mixed_and_a_cell_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("kind,customer,name,email,host\nclients,Brook,,,\ncontact,Brook,K,k@x.example,h\nfax,Brook,,,\n")
    found, _ = rows(file)
    assert [row.kind for row in found] == ["customer", "contact", ""]
    assert found[1].refusal == "a contact has no host"
    assert found[2].refusal.startswith("kind: fax is none of")


def test_what_stands_under_no_header_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    file.write_text(f"{HEADER}\nBrook;k@x.example;Kate;1;stray\n")
    (row,), _ = rows(file)
    assert row.refusal == '"stray" stands under no header'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "password"),
        (b"PK\x03\x04 no zip at all", "cannot be read as a spreadsheet"),
        (b'Customer,Name\n"Brook,K\n', "is no CSV there"),
        (b"Customer,Name\nBrook,\x81\x8d\xff\n", "no text in cp1252"),
        (b"Customer,Name\nBrook,K\0\n", "is empty|no CSV|no text|not known"),
    ],
)
def test_what_is_no_spreadsheet_is_refused_in_words(tmp_path: Path, data: bytes, words: str) -> None:
    file = tmp_path / "contacts.csv"
    file.write_bytes(data)
    with pytest.raises(InvalidError, match=words) as refused:
        rows(file)
    assert "Traceback" not in refused.value.message


def test_a_small_file_does_not_become_a_large_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bomb.xlsx"
    monkeypatch.setattr(spreadsheet, "MAX_UNPACKED", 1 << 20)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b"0" * (2 << 20))
    with pytest.raises(InvalidError, match="unpacks to more than"):
        rows(file)


def test_a_hundred_thousand_rows_take_no_more_memory_than_a_few(tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    with file.open("w") as out:
        out.write(f"{HEADER}\n")
        out.writelines(f"Brook;p{n}@x.example;P {n};020 7946 0900\n" for n in range(100_000))
    tracemalloc.start()
    try:
        last = None
        for count, found in enumerate(read(file, None, False, str), 1):
            last = (count, found.place, found.refusal)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert last == (100_000, "100001", "")
    assert peak < 4 << 20


@pytest.mark.parametrize(
    ("kind", "column", "given", "kept"),
    [
        ("contact", "phone", "020 7946 0900", "+442079460900"),
        ("contact", "phone", "442079460900", "+442079460900"),
        ("contact", "phone", "tomorrow", None),
        ("contact", "phone", "12", None),
        ("contact", "email", "Kate@Customer.EXAMPLE", "Kate@customer.example"),
        ("contact", "email", "kate.customer.example", None),
        ("contact", "email", "a@b.example, c@d.example", None),
        ("contact", "notices", "Daily", "daily"),
        ("contact", "notices", "weekly", None),
        ("contact", "name", "Kate\x1b[2J", None),
        ("site", "postcode", "ls14ap", "LS1 4AP"),
        ("site", "postcode", "12345", None),
        ("agreement", "operations", "Find, reset voicemail / list everyone", "find list-all reset-voicemail"),
        ("agreement", "operations", "find view", "find view"),
        ("agreement", "operations", "find, root", None),
        ("agreement", "days", "Mon - Fri", "1 2 3 4 5"),
        ("agreement", "days", "Monday, Wed", "1 3"),
        ("agreement", "days", "Fri-Mon", None),
        ("agreement", "from", "8:00", "08:00"),
        ("agreement", "from", "25:00", None),
        ("agreement", "longest visit", "1h30m", "90"),
        ("agreement", "longest visit", "soon", None),
        ("agreement", "approvals needed", "02", "2"),
        ("agreement", "approvals needed", "0", None),
        ("agreement", "approvals needed", "11", None),
        ("agreement", "approvals needed", "two", None),
        ("agreement", "secret lengths", "Voicemail: 6; SIP = 16", "sip 16 voicemail 6"),
        ("agreement", "secret lengths", "None", "none"),
        ("agreement", "secret lengths", "voicemail 3", None),
        ("agreement", "secret lengths", "voicemail 65", None),
        ("agreement", "secret lengths", "voicemail", None),
        ("agreement", "secret lengths", "voicemail 6 voicemail 8", None),
        ("agreement", "secret lengths", "6", None),
        (
            "agreement",
            "secret classes",
            "SIP: lowercase, UPPER and digits; voicemail digit",
            "sip digit,lower,upper voicemail digit",
        ),
        ("agreement", "secret classes", "none", "none"),
        ("agreement", "secret classes", "sip", None),
        ("agreement", "secret classes", "sip letters", None),
        ("agreement", "secret classes", "lower", None),
        ("agreement", "mail domains", "@A.example; b.example", "a.example b.example"),
        ("agreement", "ticket", "Y", "yes"),
        ("system", "port", "70000", None),
        ("system", "host key", "AAAA", None),
        ("system", "settings", "[1]", None),
        ("system", "host", "pbx; rm -rf", None),
    ],
)
def test_values(kind: str, column: str, given: str, kept: str | None) -> None:
    if kept is None:
        with pytest.raises(Refused, match=f"^{column}: "):
            checked(kind, {column: given}, "uk")
    else:
        assert checked(kind, {column: given}, "uk") == {column: kept}


def test_outside_the_uk_a_number_needs_its_country_and_a_postcode_is_theirs() -> None:
    assert checked("contact", {"phone": "+49 30 1234567"}, "eu") == {"phone": "+49301234567"}
    with pytest.raises(Refused):
        checked("contact", {"phone": "020 7946 0900"}, "eu")
    assert checked("site", {"postcode": "01067"}, "eu") == {"postcode": "01067"}


def test_the_documentation_names_every_column_and_its_examples_are_read() -> None:
    text = (ROOT / "docs" / "import.md").read_text(encoding="utf-8")
    for kind, columns in KINDS.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {kind} |")]
        assert [column.name for column in columns if column.name not in line] == []
        found, _ = rows(ROOT / "docs" / "examples" / f"{kind}s.csv")
        assert found
        for row in found:
            assert (row.kind, row.refusal) == (kind, "")
            assert checked(kind, row.cells, "uk")
