"""Which months a customer was sent the page of."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column

from gateway.store.columns import customer_table

# `id` is the month ("2026-10"). Its key is what lets each be sent once only, by whichever node comes first.
month_letters = customer_table("month_letters", Column("sent_ms", BigInteger, nullable=False))
