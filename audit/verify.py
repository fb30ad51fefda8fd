"""Checks a visit report, or a copy of a whole log, with the verifier key that stands on the agreement.

    python -m audit.verify REPORT --vkey KEY [--origin NAME] [--since OLD] [--approvers FILE]
    python -m audit.verify FOLDER --vkey KEY --origin NAME [--since OLD]

It needs Python 3.11 and the package `cryptography`, and nothing else of Frameroom than this folder. OLD is a file with
a checkpoint that you hold, like the mail after a visit. KEY may be a file that holds it.

Exit codes: 0 everything holds · 1 something does not; the first is named · 2 it cannot be read, or was asked wrongly ·
3 the log does not extend the checkpoint that you hold: it was cut or forked · 4 a permission was signed by a key that
you did not pin.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from audit.checked import Checked, Fault
from audit.checkpoint import NoteError, notes_in, parse_vkey
from audit.checks import check, open_segment
from audit.proofs import ProofFile
from audit.reportfile import Report, ReportError, parse
from audit.told import harmless
from audit.whole import check_whole

_UNREADABLE: Final = 2


class _Unreadable(Exception):
    """Something that was given cannot be used."""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise _Unreadable(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise _Unreadable(f"{path} is no text") from error


def _vkey(given: str) -> str:
    """A verifier key, or what the file of that name holds."""
    try:
        parse_vkey(given)
    except NoteError as error:
        text = ""
        if len(given) < 4096 and "\0" not in given and Path(given).is_file():
            text = _text(given).strip()
        try:
            parse_vkey(text)
        except NoteError:
            raise _Unreadable(f"--vkey: {error}") from error
        return text
    return given


def _since(path: str | None, origin: str) -> list[str]:
    if path is None:
        return []
    notes = notes_in(_text(path))
    mine = [note for note in notes if note.startswith(origin + "\n")]
    if not mine:
        raise _Unreadable(f"{path} holds no checkpoint of {harmless(origin)}")
    return mine


def _pinned(path: str | None) -> frozenset[str]:
    """Fingerprints, one a line; what follows eight groups of four is a remark."""
    if path is None:
        return frozenset()
    lines = [line.split() for line in _text(path).splitlines() if line.strip() and not line.startswith("#")]
    found = frozenset(" ".join(words[:8]).lower() for words in lines)
    if not found or any(len(one) != 39 for one in found):
        raise _Unreadable(f"{path}: a fingerprint is eight groups of four digits, one a line")
    return found


def _extract(report: Report, folder: Path) -> None:
    """Each entry and its `.tlog-proof`, and the checkpoint, for tools of others; recordings as zstd files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint").write_text(report.checkpoint, encoding="utf-8")
    for one in report.entries:
        (folder / f"{one.index}.entry").write_bytes(one.entry)
        proof = ProofFile(one.index, list(one.path), report.checkpoint)
        (folder / f"{one.index}.tlog-proof").write_text(proof.text(), encoding="utf-8")
    log = report.origin.partition("/")[2]
    for recording in report.recordings:
        for number, sealed in enumerate(recording.segments if recording.key else ()):
            # The name comes from the report: only what an id looks like becomes a part of a path.
            name = "".join(c for c in recording.session if c.isascii() and (c.isalnum() or c == "_"))
            plain = open_segment(recording.key, log, recording.session, number, sealed)
            (folder / f"{name}-{number:06}.frames.zst").write_bytes(plain)


def _parser() -> argparse.ArgumentParser:
    first, _, rest = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        "audit.verify", description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("report", metavar="REPORT", help="a report, or the folder of a copy of a log")
    made.add_argument("--vkey", required=True, metavar="KEY", help="the verifier key, or a file that holds it")
    made.add_argument("--since", metavar="OLD", help="a file with a checkpoint that you hold")
    made.add_argument("--approvers", metavar="FILE", help="fingerprints of your approvers' keys, one a line")
    made.add_argument(
        "--origin", metavar="NAME", help="your log's name, as its checkpoints begin; of a folder it is needed"
    )
    made.add_argument("--extract", metavar="DIR", help="write entries, .tlog-proof files and recordings there")
    made.add_argument("--json", action="store_true", help="the answer as JSON")
    return made


def _run(given: argparse.Namespace, told: list[str]) -> None:
    vkey = _vkey(given.vkey)
    if Path(given.report).is_dir():
        if given.origin is None:
            raise _Unreadable("of a folder, --origin says which log it should be")
        check_whole(Path(given.report), vkey, given.origin, _since(given.since, given.origin), told)
        return
    report, words = parse(_text(given.report))
    if given.origin is not None and report.origin != given.origin:
        raise Fault(f"the report is of {harmless(report.origin)}, not of {harmless(given.origin)}")
    by = Checked(vkey, _since(given.since, report.origin), _pinned(given.approvers), told)
    check(report, words, by)
    if given.extract:
        try:
            _extract(report, Path(given.extract))
        except OSError as error:
            raise _Unreadable(f"{given.extract} cannot be written ({error.strerror})") from error


def main(words: list[str] | None = None) -> int:
    """The command; its exit code."""
    given = _parser().parse_args(words)
    told: list[str] = []
    fault, code = "", 0
    try:
        _run(given, told)
    except Fault as error:
        fault, code = str(error), error.code
    except (_Unreadable, ReportError) as error:
        fault, code = str(error), _UNREADABLE
    except (OSError, RecursionError) as error:
        fault, code = f"{given.report} cannot be used ({type(error).__name__})", _UNREADABLE
    if given.json:
        print(json.dumps({"holds": code == 0, "code": code, "told": told, "fault": fault}))
        return code
    for line in told:
        print(f"holds: {line}")
    if fault:
        print(f"{'DOES NOT HOLD' if code != _UNREADABLE else 'cannot be checked'}: {fault}", file=sys.stderr)
    else:
        print("Everything holds.")
    return code


if __name__ == "__main__":
    sys.exit(main())
