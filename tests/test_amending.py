"""Files of amended tables: large tables are copied in their order, beside one file of recent rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from c360ml import tables
from c360ml.lakehouse import Lakehouse, amending


def rows(numbers: str, amount: str = "1.0") -> str:
    """SQL of interactions of numbered customers."""
    return f"""
        select 'e' || i as interaction_id, 'm' || lpad(i::varchar, 6, '0') as master_id, 'r' || i as record_id,
            null as interaction_type, 'DIGITAL' as channel, null as event_type, null as occurred_at,
            {amount} as amount, null as campaign_id
        from {numbers}
    """


@pytest.fixture
def lake(tmp_path, monkeypatch):
    """A lakehouse whose tables all count as large, with 300,000 interactions."""
    monkeypatch.setattr(amending, "LARGE_BYTES", 0)
    with Lakehouse(tmp_path) as lake:
        lake.write(tables.INTERACTIONS, rows("range(300_000) t(i)"))
        yield lake


def names(lake: Lakehouse) -> list[str]:
    """First words of the names of the table's files."""
    return sorted(Path(file).name.split("-")[0] for file in lake.files(tables.INTERACTIONS) or [])


def lying(lake: Lakehouse, name: str) -> list[tuple[str]]:
    """Customers of the rows of the file of a name, in the order they lie in."""
    file = next(file for file in lake.files(tables.INTERACTIONS) or [] if Path(file).name.startswith(name))
    return lake.rows(f"select master_id from read_parquet('{file}', file_row_number = true) order by file_row_number")


def amend(lake: Lakehouse, numbers: str, amount: str) -> None:
    """Give some numbered interactions another amount, or add them."""
    with lake.scratch("lost", f"select interaction_id from ({rows(numbers)})") as lost:
        lake.amend(tables.INTERACTIONS, rows(numbers, amount), lost=lost)


SOME = "(select i * 1000 as i from range(310) t(i))"


def test_amending_a_large_table_copies_kept_rows_in_their_order_and_puts_new_ones_into_a_recent_file(lake):
    """Kept rows lie as they lay, new and changed ones in order in a file of their own, and none twice."""
    before = lying(lake, "part")
    amend(lake, SOME, "2.0")

    assert ["part", "recent"] == names(lake)
    assert [row for row in before if int(row[0][1:]) % 1000] == lying(lake, "part")
    assert [(f"m{number * 1000:06}",) for number in range(310)] == lying(lake, "recent")
    assert [(300_010, 300_010, 310)] == lake.rows(
        "select count(*), count(distinct interaction_id), count(*) filter (where amount = 2) from gold.interactions"
    )


def test_amending_a_large_table_again_keeps_one_recent_file(lake):
    """Rows that were recent and change again are found in the recent file, of which there is one."""
    for amount in ("2.0", "3.0"):
        amend(lake, SOME, amount)

    assert ["part", "recent"] == names(lake)
    assert [(1.0, 299_700), (3.0, 310)] == lake.rows(
        "select amount, count(*) from gold.interactions group by all order by all"
    )


def test_a_large_table_of_which_many_rows_changed_is_sorted_again(lake):
    """Where more than an eighth goes, no recent file stays beside the others."""
    amend(lake, SOME, "2.0")
    amend(lake, "range(100_000) t(i)", "4.0")

    assert {"part"} == set(names(lake))
    assert [(300_010, 300_010, 100_000)] == lake.rows(
        "select count(*), count(distinct interaction_id), count(*) filter (where amount = 4) from gold.interactions"
    )


def test_a_file_of_which_all_rows_are_lost_is_gone(lake, monkeypatch):
    """A file is left out when nothing of it is kept."""
    monkeypatch.setattr(amending, "MOST_RECENT", 2.0)
    amend(lake, "range(300_000) t(i)", "5.0")

    assert ["recent"] == names(lake)
    assert [(5.0, 300_000)] == lake.rows("select amount, count(*) from gold.interactions group by all")
