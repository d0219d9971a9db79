"""Compare a few pairs of many records as a saved model does, to say what agrees in its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c360ml.linkage.comparisons import choose_comparisons
from c360ml.linkage.features import build_features
from c360ml.linkage.splink_engine import Patterns, SplinkEngine

if TYPE_CHECKING:
    import duckdb


class ErrorComparison(Patterns):
    """Compares pairs of numbered records; features are made only of the records that are asked for.

    Args:
        con: connection that holds the tables.
        records: table of standardized records.
        numbered: `rid, record_id` of these records.
        model: the saved model.
        statistics: table of what the model's own file told of its values; without it, all records tell.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        records: str,
        numbered: str,
        model: dict[str, Any],
        statistics: str | None = None,
    ) -> None:
        super().__init__(choose_comparisons(model["columns"]))
        self._con = con
        self._records = records
        self._numbered = numbered
        self._statistics = statistics

    def compare(self, pairs: str, into: str) -> str:
        """Compare the pairs `rid_l, rid_r`; writes the table `into` with `rid_l, rid_r, pattern`."""
        if not self._con.execute(f"select count(*) from {pairs}").fetchall()[0][0]:
            self._con.execute(
                f"create or replace temp table {into} as select rid_l, rid_r, 0::bigint as pattern from {pairs}"
            ).fetchall()
            return into
        features = build_features(self._con, self._records_of(pairs), self._statistics).name
        # They are numbered among themselves; pairs name records by their number among all.
        self._con.execute(f"""
            create or replace temp table {features} as
            select features.* replace (numbered.rid as rid)
            from {features} as features join {self._numbered} as numbered using (record_id)
        """).fetchall()
        SplinkEngine(self._con, features, self.comparisons, ()).compare(pairs, into)
        self._con.execute(f"drop table {features}").fetchall()
        self._con.execute("drop table if exists records_of_errors").fetchall()
        return into

    def _records_of(self, pairs: str) -> str:
        """Name the records of some pairs; all where records have to tell how rare their values are."""
        if self._statistics is None:
            return self._records
        self._con.execute(f"""
            create or replace temp table records_of_errors as
            select * from {self._records}
            semi join (
                select record_id from {self._numbered}
                semi join (select unnest([rid_l, rid_r]) as rid from {pairs}) using (rid)
            ) using (record_id)
        """).fetchall()
        return "records_of_errors"
