"""A daily batch looks at whom it touches, and leaves what a step over all rows would leave."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pipeline_projects import contents, ran
from test_pipeline_append import STRANGER, extract, one_row

from c360ml import customer360, customer_value, linkage, segments, tables
from c360ml.config import CONFIG_FILE, Config
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import STEPS, append_files
from c360ml.tables import Table


def numbers(folder: Path, table: Table) -> list[str]:
    """All rows as sorted text, numbers to nine digits."""
    columns = ", ".join(
        f"printf('%.9g', {name}) as {name}" if column.type == "DOUBLE" else name
        for name, column in table.columns.items()
    )
    with Lakehouse(folder) as lake:
        return [row for (row,) in lake.rows(f"select t::varchar from (select {columns} from {lake.open(table)}) t")]


def all_over(folder: Path, *work) -> None:
    """Do steps over all rows, in a project that an append left."""
    config = Config.load(folder / CONFIG_FILE)
    with Lakehouse(folder) as lake:
        for table in (table for step in STEPS for table in step.writes):
            lake.open(table)
        for each in work:
            each(lake, config)


def doubts(folder: Path) -> dict[str, list[tuple[int, str]]]:
    with Lakehouse(folder) as lake:
        drawn = lake.open(tables.DOUBTFUL_PARTITIONS)
        return dict(lake.rows(f"select record_id, list((draw, part) order by draw) from {drawn} group by 1"))


@pytest.fixture
def appended(small_world_copy, tmp_path):
    """The small world after a stranger and a second record of a known person were appended; the result; the world."""
    before = Path(shutil.copytree(small_world_copy, tmp_path / "before"))
    again = "C9999998," + one_row(small_world_copy).split(",", 1)[1]
    result = append_files(small_world_copy, [extract(tmp_path, STRANGER, again)], source="dms")
    return small_world_copy, result, before


def test_gold_is_what_all_rows_give(appended, tmp_path):
    """Values, segments and customers of an append are those of the same models over all customers."""
    folder, result, _ = appended
    assert 0 < result.summary("value")["valued_again"] < 10
    whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    with Lakehouse(whole) as lake:
        for table in (tables.VALUE_INPUTS, tables.SEGMENT_INPUTS):
            lake.delete(table, "true")
    all_over(whole, customer_value.append_values, segments.segment_customers, customer360.profile_customers)
    for table in (tables.CUSTOMER_VALUE, tables.CUSTOMER_SEGMENTS, tables.CUSTOMER_360, tables.HOUSEHOLDS):
        assert sorted(numbers(whole, table)) == sorted(numbers(folder, table)), table.path


def test_doubts_are_drawn_again_where_links_changed(appended, tmp_path):
    """The records in doubt are those of a draw of all; who is joined with nobody new stands as it was drawn."""
    folder, result, before = appended
    whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    all_over(whole, linkage.draw_identities, customer_value.draw_values)
    old, new, anew = doubts(before), doubts(folder), doubts(whole)
    assert new.keys() == anew.keys()
    assert {len(drawn) for drawn in new.values()} == {result.summary("doubt")["draws"]}
    stands = [record for record in new if new[record] == old.get(record)]
    assert 0.9 * len(new) < len(stands)
    assert all(part in new and part <= record for record, drawn in new.items() for _, part in drawn)
    again = result.summary("value_doubt")["valued_again"]
    assert 0 < again < 40
    with Lakehouse(folder) as lake, Lakehouse(whole) as other:
        query = "select master_id, printf('%.9g', value) from {} order by 1"
        rows, expected = (each.rows(query.format(each.open(tables.VALUE_UNCERTAINTY))) for each in (lake, other))
        certain = lake.one("select count(*) from gold.value_uncertainty where lower > upper or lower < 0")
    # Without a purchase a customer is told of only where a draw gives them one.
    assert dict(expected).items() - dict(rows).items() <= {(name, "0") for name, _ in expected}
    assert 0 == certain


def test_what_is_not_read_is_not_done(small_world_copy, tmp_path):
    """Campaigns that come leave records, links, customers and values as they are, so that their steps are skipped."""
    sends = next((small_world_copy / "extracts" / "marketing").glob("campaign_sends*.csv"))
    header, *rows = sends.read_text("utf-8").splitlines()
    more = tmp_path / "more.csv"
    more.write_text(f"{header}\n{rows[0]}\n", "utf-8")
    source = next(
        source.name
        for source in Config.load(small_world_copy / CONFIG_FILE).sources
        if sends in small_world_copy.glob(source.files) and "sends" in source.kind
    )
    first = append_files(small_world_copy, [more], source=source)
    assert {"link", "identify", "value", "doubt", "value_doubt", "segment"}.isdisjoint(ran(first))
    assert [] == ran(append_files(small_world_copy))


def test_an_append_of_nothing_writes_no_gold(appended):
    """A row that says what is known already touches nobody, and no table of customers is written."""
    folder, _, _ = appended
    kept = {table.path: contents(folder, table) for table in (tables.CUSTOMER_360, tables.CUSTOMER_VALUE)}
    result = append_files(folder)
    assert [] == ran(result)
    assert kept == {table.path: contents(folder, table) for table in (tables.CUSTOMER_360, tables.CUSTOMER_VALUE)}
