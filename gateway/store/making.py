"""How a customer's table is made: (customer_id, id) is its key, and references carry both."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, String, Table
from sqlalchemy.schema import SchemaItem

from audit.tables import metadata

ID = String(40)


def customer_table(name: str, *rest: SchemaItem) -> Table:
    """A table whose rows each belong to one customer."""
    return Table(
        name,
        metadata,
        Column("customer_id", ID, ForeignKey("customers.id"), primary_key=True),
        Column("id", ID, primary_key=True),
        *rest,
    )


def within(column: str, table: str) -> ForeignKeyConstraint:
    """A reference to a row of the same customer."""
    return ForeignKeyConstraint(["customer_id", column], [f"{table}.customer_id", f"{table}.id"])
