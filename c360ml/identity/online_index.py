"""The online index: one DuckDB file below `data/index`, named by the linkage model it was built with.

It holds the features of each record with its customer, its block keys, and value and segments of each customer:
personal data, which stays in the project. It is written beside its place and moved there, so that a reader sees
the old one or the new one, whole.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.config import CONFIG_FILE, Config
from c360ml.errors import ModelError
from c360ml.lakehouse import EngineError, Lakehouse, connect
from c360ml.linkage import LinkageModel, online
from c360ml.linkage.blocking import add_block_keys
from c360ml.linkage.features import build_features
from c360ml.linkage.step import MODEL_FILE

if TYPE_CHECKING:
    import duckdb

INDEX_FOLDER = "data/index"
INDEX_FORMAT = 1
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


def index_path(folder: Path, model: Mapping[str, Any]) -> Path:
    """Place of a project's index for a linkage model."""
    return folder / INDEX_FOLDER / f"{online.model_digest(model)}.duckdb"


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


# ---------------------------------------------------------------------- writing
def build_index(lake: Lakehouse, path: Path | None = None, *, model: Mapping[str, Any] | None = None) -> Path:
    """Write the online index of a project's customers, whole or not at all; returns its place.

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
        _fill(lake, model)
    except BaseException:
        lake.rows("detach online_index")
        partial.unlink(missing_ok=True)
        raise
    lake.rows("detach online_index")
    os.replace(partial, path)
    return path


def _attach(con: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool = False) -> None:
    quoted = str(path).replace("'", "''")
    con.execute(f"attach '{quoted}' as online_index {'(read_only)' if read_only else ''}").fetchall()


def _fill(lake: Lakehouse, content: Mapping[str, Any]) -> None:
    model = LinkageModel.from_dict(dict(content))
    for table in (tables.RECORDS, tables.IDENTITIES, tables.CUSTOMER_360):
        lake.open(table)
    build_features(lake.con, tables.RECORDS.path)
    add_block_keys(lake.con, model.blocking_)
    columns = ", ".join(online.stored_columns(model.comparisons_))
    keys = ", ".join(rule.column for rule in model.rules_)
    lake.rows(f"""
        create table online_index.records as
        select rid, master_id, {columns}
        from linkage_features join {tables.IDENTITIES.path} using (record_id)
        order by rid
    """)
    lake.rows(f"""
        create table online_index.keys as
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
    lake.rows(
        f"""
        create table online_index.about as
        select $format as format, $model_digest as model_digest, $country as country, {_HASH_CHECK} as hash_check
        """,
        {"format": INDEX_FORMAT, "model_digest": online.model_digest(content), "country": _country(lake.folder)},
    )


def _country(folder: Path) -> str:
    file = folder / CONFIG_FILE
    return (Config.load(file) if file.is_file() else Config()).project.country


# ---------------------------------------------------------------------- reading
class OnlineIndex:
    """A project's index, opened to read; not for several threads at once.

    Args:
        folder: the project's folder.
        model: linkage model as JSON.
        columns: columns of the stored records to read.
        path: the index file; without it the one that `build_index` wrote for the model.

    Raises:
        ModelError: there is no index, or it was built by another model or another DuckDB.
    """

    def __init__(
        self, folder: Path, model: Mapping[str, Any], columns: tuple[str, ...], path: Path | None = None
    ) -> None:
        self._con = connect(threads=1)
        self._columns = ", ".join(columns)
        self.country = self._open(path or index_path(folder, model), online.model_digest(model))

    def _open(self, path: Path, digest: str) -> str:
        if not path.is_file():
            raise ModelError("a model must have its online index", got=f"no file {path}", hint="run `c360ml run`")
        try:
            _attach(self._con, path, read_only=True)
            format_, built_by, same_hash, country = self._rows(
                f"select format, model_digest, hash_check = {_HASH_CHECK}, country from online_index.about"
            )[0]
        except EngineError as error:
            raise ModelError(
                "an online index must be a whole DuckDB file", got=type(error).__name__, hint="run `c360ml run` again"
            ) from error
        if (format_, built_by, same_hash) != (INDEX_FORMAT, digest, True):
            raise ModelError(
                "an online index must be built by the model and the DuckDB that read it",
                got=f"format {format_}, model {built_by}, same hash: {same_hash}",
                hint="run `c360ml run` again, or give the folder of the model's own project",
            )
        return str(country)

    def close(self) -> None:
        """Close the index."""
        self._con.close()

    def candidates(self, block_keys: list[int]) -> list[tuple[Any, ...]]:
        """Records that share a block key: the customer, then the stored columns, in the order of record ids."""
        if not block_keys:
            return []
        keys = ", ".join(map(str, block_keys))
        found = self._rows(f"select distinct rid from online_index.keys where block_key in ({keys})")
        if not found:
            return []
        rids = ", ".join(str(rid) for (rid,) in found)
        return self._rows(
            f"select master_id, {self._columns} from online_index.records where rid in ({rids}) order by rid"
        )

    def customer(self, master_id: str) -> dict[str, Any] | None:
        """Look up value and segments of a customer; None if there is none of that ID."""
        rows = self._rows(
            f"select {', '.join(CUSTOMER_COLUMNS)} from online_index.customers where master_id = $master_id",
            {"master_id": master_id},
        )
        return dict(zip(CUSTOMER_COLUMNS, rows[0], strict=True)) if rows else None

    def _rows(self, query: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._con.execute(query, parameters).fetchall()
