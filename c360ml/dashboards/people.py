"""Who the customers are: how records become people and households, who knows them, and what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c360ml.dashboards.asking import Row, ask, ask_one
from c360ml.dashboards.charts import Colour, Field, bars, columns, grouped_bars, heatmap
from c360ml.dashboards.formats import count, measure, plural, ratio, share
from c360ml.dashboards.page import Block, Chart, DataTable, Section, Text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Golden records count a customer's records and list the sources already.
_CUSTOMERS = "silver.golden_records"
_LINKED = """(
    select any_value(household_id) as household_id, count(*) as records from silver.identities group by master_id
)"""
_RECORDS_PER_CUSTOMER = """
    with sizes as (
        select least(records, $most) as size, count(*) as customers, sum(records)::bigint as records
        from {customers} group by 1
    )
    select case when size = $most then size || '+' else size::varchar end as size, customers, records
    from sizes order by sizes.size
"""
_PEOPLE_PER_HOUSEHOLD = """
    with sizes as (
        select least(count(*), $most) as size from {customers} group by household_id
    )
    select case when size = $most then size || '+' else size::varchar end as size, count(*) as households
    from sizes group by sizes.size order by sizes.size
"""
_OVERLAP = """
    with known as (
        select sources, count(*) as customers from silver.golden_records group by sources
    ),
    of_source as (
        select unnest(sources) as source, sources, customers from known
    ),
    of_both as (
        select source, unnest(sources) as also, customers from of_source
    )
    select source, also, sum(customers)::bigint as customers from of_both group by all order by all
"""
_COVERED = {
    "name": "given_name is not null and surname is not null",
    "e-mail": "email is not null",
    "phone": "phone is not null",
    "address": "street is not null and postcode is not null",
    "date of birth": "date_of_birth is not null",
}
_BEHAVIOUR = """
    select behaviour_segment as segment, count(*) as customers from gold.customer_segments
    group by all order by customers desc, segment
"""
_MOST_RECORDS, _MOST_PEOPLE = 10, 8


def people_section(con: DuckDBPyConnection, *, project: bool = True) -> Section:
    """Show customers and households.

    Args:
        con: holds a project's tables, or `silver.identities` alone.
        project: whether there are sources, golden records and segments to show.
    """
    one, many = ("customer", "customers") if project else ("person", "people")
    question = f"Who are the {many}?"
    customers = _CUSTOMERS if project else _LINKED
    people = ask(con, _RECORDS_PER_CUSTOMER.format(customers=customers), most=_MOST_RECORDS)
    homes = ask(con, _PEOPLE_PER_HOUSEHOLD.format(customers=customers), most=_MOST_PEOPLE)
    totals = {
        "records": sum(row["records"] for row in people),
        "customers": sum(row["customers"] for row in people),
        "households": sum(row["households"] for row in homes),
    }
    if not totals["records"]:
        return Section("people", question, "There is no customer record.")
    per_customer = measure(ratio(totals["records"], totals["customers"]), 2)
    per_household = measure(ratio(totals["customers"], totals["households"]), 2)
    answer = (
        f"{plural(totals['records'], 'record')} are {plural(totals['customers'], one, many)} in"
        f" {plural(totals['households'], 'household')}: {per_customer} records per {one}, {per_household} {many}"
        " per household."
    )
    blocks = _sizes(people, homes, totals, one, many)
    if project:
        blocks += [*_overlap(con), *_coverage(con), *_behaviour(con)]
    return Section("people", question, answer, blocks)


def _sizes(people: list[Row], homes: list[Row], totals: Row, one: str, many: str) -> list[Block]:
    alone = sum(row["customers"] for row in people if row["size"] == "1")
    single = sum(row["households"] for row in homes if row["size"] == "1")
    joined = totals["customers"] - alone
    return [
        Chart(
            f"{share(ratio(joined, totals['customers']), 0)} of {many} had more than one record",
            columns(_drawn(people), Field("size", f"records of the {one}"), Field("customers", many, ",")),
            numbers=DataTable("Records", ("records", many), [(row["size"], count(row["customers"])) for row in people]),
            half=True,
        ),
        Chart(
            f"{share(ratio(single, totals['households']), 0)} of households hold one {one}",
            columns(homes, Field("size", f"{many} of the household"), Field("households", "households", ",")),
            numbers=DataTable(
                "Households", (many, "households"), [(row["size"], count(row["households"])) for row in homes]
            ),
            half=True,
        ),
    ]


def _drawn(people: list[Row]) -> list[Row]:
    return [{"size": row["size"], "customers": row["customers"]} for row in people]


def _overlap(con: DuckDBPyConnection) -> list[Block]:
    rows = ask(con, _OVERLAP)
    names = list(dict.fromkeys(row["source"] for row in rows))
    if len(names) < 2:
        return [
            Text(f"There is a single customer source, {', '.join(names)}, so there is no overlap of sources to show.")
        ]
    own = {row["source"]: row["customers"] for row in rows if row["source"] == row["also"]}
    cells = {(row["source"], row["also"]): row["customers"] for row in rows}
    grid = [
        {"source": a, "also": b, "customers": cells.get((a, b), 0), "share": cells.get((a, b), 0) / own[a]}
        for a in names
        for b in names
    ]
    pairs = [cell for cell in grid if cell["source"] < cell["also"]]
    closest = max(pairs, key=lambda cell: (cell["customers"], cell["source"], cell["also"]))
    table = DataTable(
        "Customers known by both sources",
        ("source", *names),
        [(a, *(count(cells.get((a, b), 0)) for b in names)) for a in names],
    )
    spec = heatmap(
        grid,
        Field("also", "also known by"),
        Field("source", ""),
        Field("share", "share of the row's customers", ".0%"),
        text=Field("customers", "customers", ","),
        more=(Field("customers", "customers", ","),),
    )
    title = f"{closest['source']} and {closest['also']} share the most customers: {count(closest['customers'])}"
    note = "Customers known by both; the colour is their share of the row's. The diagonal counts all of a source."
    return [Chart(title, spec, note=note, numbers=table)]


def _coverage(con: DuckDBPyConnection) -> list[Block]:
    shares = ", ".join(f'avg(({condition})::int) as "{field}"' for field, condition in _COVERED.items())
    before, after = (ask_one(con, f"select {shares} from silver.{table}") for table in ("records", "golden_records"))
    kinds = {"source records": before, "customers": after}
    rows = [
        {"field": field, "of": kind, "share": shares[field]}
        for field in before
        for kind, shares in kinds.items()
        if shares[field] is not None
    ]
    if not rows:
        return []
    gains = {field: (after[field] or 0) - (before[field] or 0) for field in before}
    best = max(gains, key=lambda field: gains[field])
    table = DataTable(
        "Coverage", ("field", *kinds), [(field, share(before[field]), share(after[field])) for field in before]
    )
    spec = grouped_bars(
        rows,
        Field("field", "field"),
        Field("share", "share with a usable value", ".1%"),
        Colour("of", "of", tuple(kinds)),
    )
    title = "Golden records know as much of customers as the records do"
    if gains[best] > 0:
        title = (
            f"Golden records know more: {best} of {share(after[best], 0)}, up from {share(before[best], 0)} of records"
        )
    return [Chart(title, spec, legend=tuple(kinds), numbers=table, half=True)]


def _behaviour(con: DuckDBPyConnection) -> list[Block]:
    rows = ask(con, _BEHAVIOUR)
    if not rows:
        return []
    total = sum(row["customers"] for row in rows)
    table = DataTable(
        "Behavioural segments",
        ("segment", "customers", "share"),
        [(row["segment"], count(row["customers"]), share(ratio(row["customers"], total))) for row in rows],
    )
    largest = share(rows[0]["customers"] / total, 0)
    title = f"How do customers behave? {rows[0]['segment']} is the largest segment, {largest} of customers"
    spec = bars(rows, Field("segment", "segment"), Field("customers", "customers", ","))
    return [Chart(title, spec, numbers=table, half=True)]
