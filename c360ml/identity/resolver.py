"""Who is this? One raw record against all known customers, with the model that linked them.

The online index is one DuckDB file below `data/index`, named by the model it was built with: the features of
each record, its block keys and its customer. A record is standardized by the batch code, looked up by the
model's block keys, compared with each candidate on the model's levels and weighed by the model's classes.

The customer of the best record is the answer, if that pair is at least as probable as the model's threshold: a
record of a customer who wrote down little is weak evidence either way, so the best pair decides and the mean
over the customer's candidates only breaks ties. A record that shares no block key with any other is new.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from c360ml import tables
from c360ml.config import CONFIG_FILE, Config
from c360ml.errors import ColumnError, DataError, ModelError
from c360ml.lakehouse import EngineError, Lakehouse, connect
from c360ml.linkage import LinkageModel, online
from c360ml.linkage.blocking import add_block_keys
from c360ml.linkage.features import build_features
from c360ml.linkage.step import MODEL_FILE
from c360ml.standardize.records import RECORD_COLUMNS, ROLES, standardized

if TYPE_CHECKING:
    import duckdb

INDEX_FOLDER = "data/index"
INDEX_FORMAT = 1
LONGEST_TEXT = 10_000
CUSTOMER_COLUMNS = (
    "master_id",
    "household_id",
    "historical_value",
    "projected_value",
    "customer_value",
    "probability_alive",
    "expected_purchases",
    "rfm_score",
    "rfm_segment",
    "kmeans_segment",
    "behaviour_segment",
    "value_tier",
)
# Block keys are hashes that another DuckDB may compute differently: then no key would be found, silently.
_HASH_CHECK = "hash('c360ml')"


@dataclass(frozen=True)
class Resolution:
    """Who a record is: a known customer, or new, with the probability and the reasons of the best pair.

    Without a candidate `match_probability` is 0 and `explanation` empty.
    """

    master_id: str | None
    is_new: bool
    match_probability: float
    household_id: str | None
    explanation: tuple[dict[str, float | str], ...]
    candidates: int


_NOBODY = Resolution(None, True, 0.0, None, (), 0)


# ---------------------------------------------------------------------- the index
def index_path(folder: Path, model: Mapping[str, Any]) -> Path:
    """Place of a project's index for a model."""
    return folder / INDEX_FOLDER / f"{online.model_digest(model)}.duckdb"


def build_index(lake: Lakehouse, path: Path | None = None, *, model: Mapping[str, Any] | None = None) -> Path:
    """Write the online index of a project's customers, whole or not at all.

    Args:
        lake: the project's lakehouse, after a run.
        path: file to write; without it `data/index/<digest of the model>.duckdb`.
        model: linkage model as JSON; without it the project's newest.

    Raises:
        ModelError: there is no linkage model.
        TableError: a table was never written.
    """
    model = model if model is not None else read_model(lake.folder)
    path = path or index_path(lake.folder, model)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
    _attach(lake.con, partial)
    try:
        _fill_index(lake, model)
    except BaseException:
        lake.rows("detach online_index")
        partial.unlink(missing_ok=True)
        raise
    lake.rows("detach online_index")
    os.replace(partial, path)
    return path


def read_model(folder: Path) -> dict[str, Any]:
    """Read a project's newest linkage model.

    Raises:
        ModelError: there is none, or it is no JSON.
    """
    with Lakehouse(folder) as lake:
        model = lake.read_json(MODEL_FILE)
    if model is None:
        raise ModelError(f"a project must have {MODEL_FILE}", got=f"none in {folder}", hint="run `c360ml run`")
    return model


def _attach(con: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool = False) -> None:
    quoted = str(path).replace("'", "''")
    con.execute(f"attach '{quoted}' as online_index {'(read_only)' if read_only else ''}").fetchall()


def _fill_index(lake: Lakehouse, content: Mapping[str, Any]) -> None:
    model = LinkageModel.from_dict(dict(content))
    for table in (tables.RECORDS, tables.IDENTITIES, tables.CUSTOMER_360):
        lake.open(table)
    build_features(lake.con, tables.RECORDS.path)
    add_block_keys(lake.con, model.blocking_)
    columns = ", ".join(online.compared_columns(model.comparisons_))
    keys = ", ".join(rule.column for rule in model.rules_)
    lake.rows(f"""
        create table online_index.records as
        select rid, master_id, {columns}
        from linkage_features join {tables.IDENTITIES.path} using (record_id)
        order by rid
    """)
    lake.rows(f"""
        create table online_index.block_keys as
        with listed as (
            select rid, unnest(list_distinct([{keys}])) as block_key from linkage_features
        )
        select block_key, rid from listed where block_key is not null order by block_key, rid
    """)
    lake.rows("drop table linkage_features")
    lake.rows(f"""
        create table online_index.customers as
        select {", ".join(CUSTOMER_COLUMNS)} from {tables.CUSTOMER_360.path} order by master_id
    """)
    lake.rows("create unique index customer_key on online_index.customers (master_id)")
    about = {"format": INDEX_FORMAT, "model_digest": online.model_digest(content), "country": _country(lake.folder)}
    lake.rows(
        f"create table online_index.about as select $format as format, $model_digest as model_digest, "
        f"$country as country, {_HASH_CHECK} as hash_check",
        about,
    )


def _country(folder: Path) -> str:
    file = folder / CONFIG_FILE
    return (Config.load(file) if file.is_file() else Config()).project.country


# ---------------------------------------------------------------------- one record
class RecordStandardizer:
    """Standardizes a few records at a time in a connection that stays open, by the code that does whole tables.

    What whole tables tell of a source (days before months, ZIP codes that lost a zero) is not known of a single
    record: dates and postcodes are read as the country writes them.

    Args:
        con: connection of its own, in which the answers stand.
        country: ISO 3166 code assumed where a record names no country.
    """

    table = "standard_records"

    def __init__(self, con: duckdb.DuckDBPyConnection, country: str) -> None:
        self._con = con
        self._country = country
        roles = ", ".join(f"{role} varchar" for role in ROLES)
        columns = ", ".join(f"{column} varchar" for column in RECORD_COLUMNS)
        con.execute(f"create temp table given_records (record_id varchar, source varchar, {roles})").fetchall()
        con.execute(f"create temp table {self.table} (record_id varchar, {columns})").fetchall()

    def standardize(self, records: Sequence[Mapping[str, str | None]]) -> str:
        """Put records of `checked_record` into the table `standard_records`, by position: '0', '1', and so on."""
        con = self._con
        con.execute("delete from given_records").fetchall()
        marks = ", ".join("?" for _ in ROLES)
        for position, record in enumerate(records):
            values = [str(position), *(record.get(role) for role in ROLES)]
            con.execute(f"insert into given_records values (?, 'records', {marks})", values).fetchall()
        with standardized(con, "given_records", self._country) as query:
            con.execute(f"delete from {self.table}").fetchall()
            con.execute(
                f"insert into {self.table} select record_id, {', '.join(RECORD_COLUMNS)} from ({query})"
            ).fetchall()
        return self.table


class Resolver:
    """Answers who a raw record is, from a project's online index; safe to call from several threads.

    Args:
        folder: the project's folder.
        model: linkage model as JSON; without it the project's newest.
        index: the index file; without it the one that `build_index` wrote for the model.

    Raises:
        ModelError: there is no index, or it was built by another model or another DuckDB.
    """

    def __init__(
        self, folder: str | Path, *, model: Mapping[str, Any] | None = None, index: Path | None = None
    ) -> None:
        self.folder = Path(folder).resolve()
        content = model if model is not None else read_model(self.folder)
        self._model = LinkageModel.from_dict(dict(content))
        self._threshold = self._model.threshold or 0.5
        self._lock = threading.Lock()
        self._con = connect(threads=1)
        self._country = self._open(index or index_path(self.folder, content), online.model_digest(content))
        self._prepare()

    def close(self) -> None:
        """Close the index."""
        self._con.close()

    def __enter__(self) -> Resolver:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _open(self, path: Path, digest: str) -> str:
        if not path.is_file():
            raise ModelError("a model must have its online index", got=f"no file {path}", hint="run `c360ml run`")
        try:
            _attach(self._con, path, read_only=True)
            about = self._rows(
                f"select format, model_digest, hash_check = {_HASH_CHECK}, country from online_index.about"
            )
        except EngineError as error:
            raise ModelError(
                "an online index must be a whole DuckDB file", got=type(error).__name__, hint="run `c360ml run` again"
            ) from error
        if about[0][:3] != (INDEX_FORMAT, digest, True):
            raise ModelError(
                "an online index must be built by the model and the DuckDB that read it",
                got=f"format {about[0][0]}, model {about[0][1]}, same hash {about[0][2]}",
                hint="run `c360ml run` again, or give the folder of the model's own project",
            )
        return str(about[0][3])

    def _prepare(self) -> None:
        comparisons, rules = self._model.comparisons_, self._model.rules_
        self._standardizer = RecordStandardizer(self._con, self._country)
        standard = self._standardizer.table
        self._rows(f"prepare find_keys as select {online.block_keys(rules)} from {standard}")
        self._rows(f"""
            prepare compare as
            with new as ({online.new_features(standard, comparisons)})
            select l.master_id, {online.pattern_columns(comparisons)}
            from online_index.records l, new r
            where l.rid in (select rid from online_index.block_keys where block_key in (select unnest($1::ubigint[])))
            order by l.rid
        """)

    def _rows(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        return self._con.execute(query, parameters).fetchall()

    # ------------------------------------------------------------------ answers
    def resolve(self, record: Mapping[str, str | None]) -> Resolution:
        """Find the customer of a raw record, given as role = text; the roles are those of `standardize_records`.

        Raises:
            ColumnError: a field is no role.
            DataError: a value is no text, or longer than 10,000 characters.
        """
        given = checked_record(record)
        with self._lock:
            self._standardizer.standardize([given])
            found = self._compare()
        return self._decide(found)

    def customer(self, master_id: str) -> dict[str, Any] | None:
        """Look up value and segments of a customer; None if there is none of that ID."""
        with self._lock:
            rows = self._rows(
                f"select {', '.join(CUSTOMER_COLUMNS)} from online_index.customers where master_id = ?", [master_id]
            )
        return dict(zip(CUSTOMER_COLUMNS, rows[0], strict=True)) if rows else None

    def _compare(self) -> list[tuple[Any, ...]]:
        keys = self._rows("execute find_keys")[0][0]
        return self._rows(f"execute compare({keys}::ubigint[])") if keys else []

    def _decide(self, found: list[tuple[Any, ...]]) -> Resolution:
        if not found:
            return _NOBODY
        masters = [row[0] for row in found]
        digits = np.array([row[1:] for row in found], dtype=np.int64)
        weights = online.match_weights(self._model, digits)
        best = _best_candidate(masters, weights.tolist())
        probability = online.match_probability(weights[best])
        steps = tuple(online.explain_pattern(self._model, digits[best]))
        if probability < self._threshold:
            return Resolution(None, True, probability, None, steps, len(found))
        customer = self.customer(masters[best])
        household = None if customer is None else customer["household_id"]
        return Resolution(masters[best], False, probability, household, steps, len(found))


def _best_candidate(masters: list[str], weights: list[float]) -> int:
    """Position of the greatest weight; ties go to the customer with the greater mean, then the least ID."""
    highest = max(weights)
    of_master: dict[str, list[float]] = {}
    for master, weight in zip(masters, weights, strict=True):
        of_master.setdefault(master, []).append(weight)
    tied = [position for position, weight in enumerate(weights) if weight == highest]
    return min(tied, key=lambda at: (-float(np.mean(of_master[masters[at]])), masters[at], at))


def checked_record(record: Mapping[str, str | None]) -> dict[str, str | None]:
    """Check that a raw record has only known fields, all of them text, and trim them; '' is null.

    Raises:
        ColumnError: a field is no role.
        DataError: a value is no text, is too long, or cannot be encoded.

    >>> checked_record({"surname": " Lee ", "email": ""})
    {'surname': 'Lee', 'email': None}
    """
    unknown = sorted(str(name)[:50] for name in record if name not in ROLES)
    if unknown:
        raise ColumnError(
            "a record's fields must be roles", got=f"{len(unknown)} others", hint=f"use {', '.join(ROLES)}"
        )
    return {role: _checked_text(role, value) for role, value in record.items()}


def _checked_text(role: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise DataError(f"{role} must be text or null", got=type(value).__name__, hint="write it as text")
    if len(value) > LONGEST_TEXT:
        raise DataError(f"{role} must have at most {LONGEST_TEXT:,} characters", got=f"{len(value):,}", hint="cut it")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{role} must be Unicode text", got="half a surrogate pair", hint="mend its encoding"
        ) from error
    return value.strip() or None
