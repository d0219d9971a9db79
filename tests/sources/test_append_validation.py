"""Files that are validated as they come give the tables that validating all of them at once gives."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml import tables
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.sources import append_landed, append_valid, land, validate

SOURCES = {
    "web": {"name": "web", "kind": "digital_customers", "files": "web*.csv"},
    "shop": {"name": "shop", "kind": "sales", "files": "shop*.csv", "customer_source": "web"},
}
HEADERS = {"web": "user_id,name,updated_at", "shop": "sale_id,customer_id,sale_date,amount"}
COLUMNS = {"web": {}, "shop": {"source_key": "sale_id", "customer_key": "customer_id", "sold_on": "sale_date"}}
WEB_ROW = st.tuples(
    st.sampled_from("abc"), st.sampled_from(["Ann", "Bo"]), st.sampled_from(["2024-01-02", "2024-03-04"])
)
SHOP_ROW = st.tuples(
    st.sampled_from("abc"), st.sampled_from("ab"), st.sampled_from(["2024-01-02", "2124-01-02"]), st.sampled_from("12")
)
FILES = st.lists(
    st.one_of(
        st.tuples(st.just("web"), st.integers(0, 9), st.lists(WEB_ROW, min_size=1, max_size=4)),
        st.tuples(st.just("shop"), st.integers(0, 9), st.lists(SHOP_ROW, min_size=1, max_size=4)),
    ),
    min_size=1,
    max_size=4,
)


def config() -> Config:
    return Config.parse({"sources": [{**source, "columns": COLUMNS[name]} for name, source in SOURCES.items()]})


def write(folder: Path, source: str, number: int, rows: list[tuple[str, ...]]) -> None:
    lines = [HEADERS[source], *(",".join(row) for row in rows)]
    (folder / f"{source}_{number}.csv").write_text("\n".join(lines) + "\n", "utf-8")


def contents(lake: Lakehouse) -> dict[str, list[tuple]]:
    """Rows of what validation writes, without times of landing."""
    kept = (tables.CUSTOMERS, tables.SALES, tables.DEAD_LETTERS)
    names = {
        table.path: ", ".join(name for name in table.columns if name not in ("loaded_at", "raw")) for table in kept
    }
    return {table.path: lake.rows(f"select {names[table.path]} from {lake.open(table)} order by all") for table in kept}


@settings(max_examples=8, deadline=None)
@given(FILES)
def test_files_in_any_order_end_as_if_read_at_once(files):
    """Whatever repeats, changes or replaces what, under whichever file name, appending equals one run over all."""
    with tempfile.TemporaryDirectory() as name, Lakehouse(name) as lake:
        folder = Path(name)
        write(folder, "web", 5, [("a", "Ann", "2024-01-02"), ("a", "Bo", "2024-01-02"), ("b", "Ann", "2024-01-02")])
        write(folder, "shop", 5, [("a", "a", "2024-01-02", "1"), ("a", "b", "2024-01-02", "1")])
        land(lake, config())
        validate(lake, config())
        for source, number, rows in files:
            write(folder, source, number, rows)
            append_landed(lake, config())
            append_valid(lake, config())
        appended = contents(lake)
        land(lake, config())
        validate(lake, config())
        assert contents(lake) == appended
