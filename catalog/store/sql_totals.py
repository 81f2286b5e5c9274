"""Count records grouped by fields, as SQL, so that a scrape of metrics never lists records."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

import sqlalchemy as sa

from catalog.records import Record
from catalog.store.protocol import Total
from catalog.store.record_kinds import RecordKind
from catalog.store.tables import TABLES


def totals_of(
    kind: RecordKind[Record], by: Sequence[str], sums: Sequence[str], moments: Sequence[str]
) -> sa.Select[tuple[object, ...]]:
    """Return the statement for the totals: group, count, sums, then count, first and last of each moment."""
    columns = TABLES[kind.table].c
    group = [columns[name] for name in by]
    added = [sa.cast(sa.func.coalesce(sa.func.sum(columns[name]), 0), sa.BigInteger()) for name in sums]
    ends = [made(columns[name]) for name in moments for made in (sa.func.count, sa.func.min, sa.func.max)]
    return (
        sa.select(*group, sa.func.count(), *added, *ends)
        .select_from(TABLES[kind.table])
        .group_by(*group)
        .order_by(*group)
    )


def total_from(row: Sequence[object], by: int, sums: int) -> Total:
    """Return the totals in a row of that statement. by, sums: number of requested fields of each."""
    records, added, ends = row[by], row[by + 1 : by + 1 + sums], row[by + 1 + sums :]
    return Total(
        group=tuple(row[:by]),
        records=_number(records),
        sums=tuple(map(_number, added)),
        counts=tuple(map(_number, ends[::3])),
        least=cast("tuple[datetime | None, ...]", tuple(ends[1::3])),
        most=cast("tuple[datetime | None, ...]", tuple(ends[2::3])),
    )


def _number(value: object) -> int:
    return int(cast("int", value))
