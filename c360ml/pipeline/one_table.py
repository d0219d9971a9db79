"""One file in, answers out: link a table of people, or value a table of transactions, without a project."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from c360ml import tables
from c360ml.config import Config
from c360ml.customer_value import Valuation, value_transactions
from c360ml.customer_value.fitting import ModelChoice
from c360ml.errors import C360Error, ColumnError
from c360ml.identity import identify
from c360ml.lakehouse import Lakehouse, connect
from c360ml.linkage import Constraints, LinkageModel, link_records
from c360ml.segments import KMeansSegmenter, RfmScorer
from c360ml.sources import read_table
from c360ml.standardize import standardize_records
from c360ml.standardize.records import as_text

Say = Callable[[str], None]
LINE_AMOUNT = "line_amount"


@dataclass(frozen=True)
class LinkedTable:
    """What `link_table` found: where it is, what the fit says, and measures if truth was given."""

    folder: Path
    file: str
    summary: dict[str, Any]
    metrics: dict[str, Any]
    people: pa.Table = field(repr=False)
    pairs: pa.Table = field(repr=False)


@dataclass(frozen=True)
class ValuedTable:
    """What `value_table` found: where it is, the customers, the models and their measures."""

    folder: Path
    file: str
    customers: pa.Table = field(repr=False)
    model: dict[str, Any]
    metrics: dict[str, Any]
    valuation: Valuation = field(repr=False)


def link_table(
    file: Path,
    *,
    id: str,
    columns: Mapping[str, str],
    out: Path,
    source: str | None = None,
    truth: str | None = None,
    threshold: float | None = None,
    classes: str = "latent",
    constraints: Constraints | None = None,
    say: Say = lambda message: None,
) -> LinkedTable:
    """Link a CSV, JSON or Parquet table of people; writes pairs, people, model and metrics below `out`.

    Args:
        file: the table.
        id: column that tells rows apart.
        columns: role = column, see `standardize_records`.
        out: folder of the answers; made if it is not there.
        source: column that names the source of each row.
        truth: column with the true identity; only compared with, never read by the model.
        threshold: least match probability; without it the model's own.
        classes: `latent` or `two`, see `LinkageModel`.
        constraints: what one person may not hold, and reviewers' decisions.
        say: hears of progress.

    Raises:
        SourceError: the file cannot be read.
        ColumnError: a column or role is unknown.
        DataError: there is nothing to compare.
    """
    with tempfile.TemporaryDirectory(prefix="c360ml-link-") as scratch, Lakehouse(scratch, say=say) as lake:
        say("reading")
        rows = read_table(lake.con, file)
        _check_truth(rows.columns, columns, truth)
        say("standardizing")
        _open_records(lake, standardize_records(rows.to_arrow_table(), id=id, columns=columns, source=source))
        true_ids = _true_ids(rows, id, truth) if truth else None
        model = LinkageModel(threshold=threshold, classes=classes, constraints=constraints)
        summary = link_records(lake, model)
        say("identifying people and households")
        summary |= identify(lake, Config())
        metrics = {"fit": summary, "evaluation": model.evaluate(true_ids) if true_ids is not None else {}}
        people = lake.sql(
            f"select record_id, master_id, household_id from {tables.IDENTITIES.path} order by record_id"
        ).to_arrow_table()
        pairs = lake.sql(f"""
            select record_id_l, record_id_r, match_weight, match_probability from {tables.LINKS.path}
            order by record_id_l, record_id_r
        """).to_arrow_table()
        _write(out, {"people.parquet": people, "pairs.parquet": pairs})
        _write_json(out, {"model.json": model.to_dict(), "metrics.json": metrics})
        return LinkedTable(out, file.name, summary, metrics, people, pairs)


def _check_truth(have: list[str], columns: Mapping[str, str], truth: str | None) -> None:
    if truth is None:
        return
    if truth not in have:
        raise ColumnError("the truth column must be in the table", got=truth, hint=f"choose one of {have}")
    if truth in columns.values():
        raise ColumnError(
            "the truth column must not be compared", got=f"{truth} has a role", hint="leave it out of --columns"
        )


def _true_ids(rows: Any, id: str, truth: str) -> pa.Table:
    """Take the true identity of each record, its id as standardizing writes it."""
    types = dict(zip(rows.columns, map(str, rows.types), strict=True))
    true_ids: pa.Table = rows.project(
        f"{as_text(id, types[id])} as record_id, {as_text(truth, types[truth])} as true_id"
    ).to_arrow_table()
    return true_ids


def _open_records(lake: Lakehouse, records: pa.Table) -> None:
    """Show standardized records as `silver.records`; columns that only a pipeline knows are null."""
    lake.con.register("standardized_input", records)
    absent = [
        f"cast(null as {column.type}) as {name}"
        for name, column in tables.RECORDS.columns.items()
        if name not in records.column_names
    ]
    lake.rows(f"create table {tables.RECORDS.path} as select {', '.join(['*', *absent])} from standardized_input")
    lake.con.unregister("standardized_input")


def value_table(
    file: Path,
    *,
    customer: str,
    date: str,
    amount: str,
    out: Path,
    quantity: str | None = None,
    observation_end: str | None = None,
    holdout_start: str | None = None,
    horizon_weeks: int = 52,
    model: ModelChoice = "auto",
    say: Say = lambda message: None,
) -> ValuedTable:
    """Value every customer of a transaction table; writes customers, model and metrics below `out`.

    Args:
        file: CSV, JSON or Parquet table with one row per transaction; negative amounts are refunds.
        customer: column of the customer's key.
        date: column of the day.
        amount: column of the amount.
        out: folder of the answers; made if it is not there.
        quantity: column of units, if `amount` is a unit price.
        observation_end: last observed day; without it the last transaction's.
        holdout_start: first day kept aside to measure the forecast.
        horizon_weeks: weeks ahead that projected value covers.
        model: model of purchases; auto is the one that forecasts holdouts best.
        say: hears of progress.

    Raises:
        SourceError: the file cannot be read.
        ColumnError: a column is missing.
        DataError: dates or amounts cannot be read.
    """
    with connect() as con:
        say("reading")
        transactions = _with_amount(read_table(con, file), amount, quantity)
        say("valuing customers")
        valuation = value_transactions(
            transactions,
            customer=customer,
            date=date,
            amount=amount if quantity is None else LINE_AMOUNT,
            observation_end=observation_end,
            holdout_start=holdout_start,
            horizon_weeks=horizon_weeks,
            model=model,
        )
        say("segmenting")
        customers, segments, sizes = _segment(con, valuation)
    models = {"customer_value": valuation.model, **segments}
    metrics = {**valuation.metrics, "segments": sizes}
    _write(out, {"customer_value.parquet": customers})
    _write_json(out, {"model.json": models, "metrics.json": metrics})
    return ValuedTable(out, file.name, customers, models, metrics, valuation)


def _with_amount(rows: Any, amount: str, quantity: str | None) -> Any:
    if quantity is None:
        return rows
    missing = [column for column in (amount, quantity) if column not in rows.columns]
    if missing:
        raise ColumnError(
            "the table must have the columns named", got=f"no {missing}", hint=f"choose of {rows.columns}"
        )
    return rows.project(f'*, try_cast("{amount}" as double) * try_cast("{quantity}" as double) as {LINE_AMOUNT}')


def _segment(con: Any, valuation: Valuation) -> tuple[pa.Table, dict[str, Any], dict[str, Any]]:
    """Add RFM and KMeans segments to a valuation's customers."""
    history = valuation.history.to_arrow_table()
    con.register("history", history)
    end = valuation.metrics["transactions"]["observation_end"]
    buyers = con.sql(f"""
        select customer_id, purchases, total_spend,
               date_diff('day', last_purchase_on::date, date '{end}') as days_since_last_purchase
        from history
    """).to_arrow_table()
    rfm = RfmScorer().fit(buyers)
    scored = rfm.transform(buyers)
    kmeans: KMeansSegmenter | None = None
    try:
        kmeans = KMeansSegmenter().fit(buyers)
        con.register("scored", kmeans.predict(scored))
    except C360Error:
        con.register("scored", scored.append_column("kmeans_segment", pa.nulls(len(scored), pa.string())))
    con.register("valued", valuation.table.to_arrow_table())
    customers = con.sql("""
        select valued.*, rfm_score, rfm_segment, kmeans_segment
        from valued join scored using (customer_id) order by customer_id
    """).to_arrow_table()
    con.register("customers", customers)
    sizes = {
        name: dict(con.sql(f"select {name}, count(*) from customers group by all order by 2 desc, 1").fetchall())
        for name in ("rfm_segment", "kmeans_segment")
    }
    return customers, {"rfm": rfm.to_dict(), "kmeans": kmeans.to_dict() if kmeans else None}, sizes


def _write(out: Path, answers: Mapping[str, pa.Table]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, table in answers.items():
        partial = out / f".{name}.partial"
        pq.write_table(table, partial)
        partial.replace(out / name)


def _write_json(out: Path, contents: Mapping[str, Mapping[str, Any]]) -> None:
    for name, content in contents.items():
        partial = out / f".{name}.partial"
        partial.write_text(json.dumps(content, indent=1, default=str) + "\n", "utf-8")
        partial.replace(out / name)
