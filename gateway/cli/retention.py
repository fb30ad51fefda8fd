"""`frameroom retention …`."""

from __future__ import annotations

from typing import Any

import click

from gateway.choices import RECORDS, RecordKind
from gateway.cli.calling import simple
from gateway.cli.times import WHEN
from gateway.cli.words import Group, argument, may, option


def register(main: click.Group) -> None:
    """Add the commands."""
    retention = Group("retention", help="How long records are kept: the contract, and so many months after it.")
    main.add_command(retention)
    kinds = "; ".join(f"{kind.value}: {words}" for kind, words in RECORDS.items())
    simple(
        retention, "set", "Months after the contract's end for one kind of record.",
        "retention set 'Brook & Sons' --kind recordings --months 6", argument("customer"),
        option("kind", type=click.Choice([kind.value for kind in RecordKind]), help=kinds),
        option("months", type=click.IntRange(0, 1200)), call="retention set",
    )  # fmt: skip
    simple(
        retention, "contract", "When the contract ends, or ended. Without --ends it runs on, and nothing is due.",
        "retention contract 'Brook & Sons' --ends 2026-11-30", argument("customer"), may("ends", type=WHEN),
        call="retention contract", change=_ends,
    )  # fmt: skip
    simple(
        retention, "show", "A customer's periods.", "retention show 'Brook & Sons'", argument("customer"),
        call="retention show",
    )  # fmt: skip
    simple(
        retention, "run", "Delete what is due, now. `serve` does it every hour by itself.",
        "retention run --customer 'Brook & Sons' --dry-run", may("customer"),
        click.Option(["--dry-run"], is_flag=True, help="Only say what would go."), call="retention run",
    )  # fmt: skip
    simple(
        retention, "ledger", "What was deleted when and why, and what is scheduled since it is locked.",
        "retention ledger --customer 'Brook & Sons'", may("customer"), call="retention ledger",
    )  # fmt: skip
    simple(
        retention, "certificate", "That it was deleted, with the log's entries and their proofs: keep it with --json.",
        "retention certificate 'Brook & Sons' --json", argument("customer"), call="retention certificate",
    )  # fmt: skip


def _ends(given: dict[str, Any]) -> dict[str, Any]:
    ends = given.pop("ends")
    return given | {"ends_ms": ends}
