"""The table `clusters`: scored pairs go in batches of whole components through average linkage, under constraints.

Python holds a few numbers per record and one batch of pairs at a time; DuckDB holds, sorts and spills the pairs. So
memory grows with records, not with pairs, and time with pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from c360ml.errors import DataError
from c360ml.linkage.cluster_budget import Oversize, fit_budget
from c360ml.linkage.clusters import average_linkage, joined_components
from c360ml.linkage.constraints import Constraints, NumberedConstraints
from c360ml.linkage.features import Features

if TYPE_CHECKING:
    import duckdb

Ints = NDArray[np.int64]
Pairs = tuple[Ints, Ints, NDArray[np.float64]]

_PAIRS_PER_BATCH = 2_000_000
SHOWN = 20
# Probabilities are added as whole numbers: a sum of fractions hangs on their order, which DuckDB does not promise.
_PROBABILITY_STEPS = 10**15


class Clustering:
    """Clusters the pairs of `scored_pairs` and `pattern_weights`; leaves `positions`, `final_labels` and `clusters`.

    A position numbers records such that those of one component follow each other, in the order of their ids.
    """

    table = "clusters"

    def __init__(
        self, con: duckdb.DuckDBPyConnection, features: Features, numbered: NumberedConstraints, weight: float
    ) -> None:
        self._con, self._features, self._numbered = con, features, numbered
        self.weight = weight
        self.oversize: list[Oversize] = []

    def run(self) -> Clustering:
        """Cluster at mean match weights above `weight`; returns itself.

        Raises:
            DataError: a cluster is above the budget, and the constraints say to stop.
        """
        self._write_positions()
        labels = np.arange(self._features.records)
        for start, stop, pairs in self._batches():
            labels[start:stop] = start + self._cluster(start, stop, pairs)
        self._heed_oversize()
        self._register("final_labels", rid=self._order + 1, label=self._order[labels] + 1)
        self._write_clusters()
        return self

    # ------------------------------------------------------------------ components
    def _write_positions(self) -> None:
        """Number the records by component: records joined by pairs above the weight or by a reviewer."""
        component = joined_components(np.arange(self._features.records), *self._numbered.must)
        links = self._con.sql(f"""
            select (rid_l - 1)::int as l, (rid_r - 1)::int as r
            from scored_pairs join pattern_weights using (pattern) where match_weight > {self.weight}
        """).to_arrow_reader(_PAIRS_PER_BATCH)
        for batch in _gathered(links):
            component = joined_components(component, batch[0], batch[1])
        self._order = np.argsort(component, kind="stable")
        self._component = component[self._order]
        self._register("positions", rid=self._order + 1, position=np.arange(len(component)), component=self._component)

    def _batches(self) -> Iterator[tuple[int, int, Pairs]]:
        """Ranges of positions, whole components each, with the pairs inside those components."""
        inside = self._con.sql("""
            select a.position::int as l, b.position::int as r, match_weight
            from scored_pairs join pattern_weights using (pattern)
            join positions a on a.rid = rid_l join positions b on b.rid = rid_r
            where a.component = b.component order by l
        """).to_arrow_reader(_PAIRS_PER_BATCH)
        start, held = 0, _no_pairs()
        for batch in _gathered(inside):
            held = tuple(np.concatenate(parts) for parts in zip(held, batch, strict=True))
            # The last component may go on in the next batch.
            stop = int(np.searchsorted(self._component, self._component[held[0][-1]]))
            cut = int(np.searchsorted(held[0], stop))
            if cut:
                yield start, stop, _shifted(held, 0, cut, start)
                held, start = tuple(part[cut:] for part in held), stop
        yield start, self._features.records, _shifted(held, 0, len(held[0]), start)

    # ------------------------------------------------------------------ one batch
    def _cluster(self, start: int, stop: int, pairs: Pairs) -> Ints:
        members, (left, right, weights) = self._order[start:stop], pairs
        joined = self._numbered.joined(members)
        merges = average_linkage(
            stop - start, *pairs, threshold=self.weight, rules=self._numbered.rules(members), joined=joined
        )
        linked, reviewed = weights > self.weight, self._numbered.within(members, self._numbered.must)
        declared = self._numbered.declared
        merges, oversize = fit_budget(
            stop - start,
            merges,
            np.concatenate([left[linked], reviewed[0]]),
            np.concatenate([right[linked], reviewed[1]]),
            largest=declared.largest_cluster,
            widest=declared.widest_cluster,
        )
        self.oversize += [Oversize(int(members[each.record]), each.records, each.width) for each in oversize]
        return merges.labels(stop - start)

    def _heed_oversize(self) -> None:
        if self.oversize and self._numbered.declared.oversize == "stop":
            raise too_large(self._numbered.declared, len(self.oversize), self.oversize_summary())

    def summary(self) -> dict[str, Any]:
        """Counts of what constraints, reviewers and the budget did."""
        cut = self._con.execute(f"""
            select count(*) from scored_pairs join pattern_weights using (pattern)
            join final_labels a on a.rid = rid_l join final_labels b on b.rid = rid_r
            where match_weight > {self.weight} and a.label <> b.label
        """).fetchall()[0][0]
        return {
            "cut_links": int(cut),
            "reviewed_matches": int(self._numbered.must.shape[1]),
            "reviewed_non_matches": int(self._numbered.cannot.shape[1]),
            "reviewed_pairs_of_unknown_records": self._numbered.unknown_pairs,
            "oversize_clusters": len(self.oversize),
            "largest_oversize_clusters": self.oversize_summary(),
        }

    def oversize_summary(self) -> list[dict[str, Any]]:
        """The clusters that were above the budget, largest first, as far as a summary has room."""
        largest = sorted(self.oversize, key=lambda each: (-each.records, each.record))[:SHOWN]
        ids = self._numbered.record_ids(np.array([each.record for each in largest], dtype=np.int64))
        return [
            {"record_id": record_id, "records": each.records, "width": each.width, "reason": each.reason}
            for record_id, each in zip(ids, largest, strict=True)
        ]

    # ------------------------------------------------------------------ tables
    def _write_clusters(self) -> None:
        self._con.execute(f"""
            create or replace temp table {self.table} as
            with ends as (
                select rid_l, rid_r, (match_probability * {_PROBABILITY_STEPS})::bigint as steps
                from scored_pairs join pattern_weights using (pattern)
                join final_labels a on a.rid = rid_l join final_labels b on b.rid = rid_r
                where a.label = b.label
            ),
            cohesions as (
                select rid, round(sum(steps) / {_PROBABILITY_STEPS} / count(*), 12) as cohesion
                from (select rid_l as rid, steps from ends union all select rid_r, steps from ends)
                group by rid
            )
            select record.record_id, first.record_id as cluster_id, coalesce(cohesion, 1.0) as cohesion
            from final_labels
            join {self._features.name} record on record.rid = final_labels.rid
            join {self._features.name} first on first.rid = final_labels.label
            left join cohesions on cohesions.rid = final_labels.rid
        """).fetchall()

    def _register(self, name: str, **columns: Ints) -> None:
        self._con.register(f"{name}_arrow", pa.table(columns))
        self._con.execute(f"create or replace temp table {name} as from {name}_arrow").fetchall()
        self._con.unregister(f"{name}_arrow")


def too_large(declared: Constraints, clusters: int, largest: list[dict[str, Any]]) -> DataError:
    """Say that clusters are above the budget, where the constraints say to stop."""
    return DataError(
        f"a person must have at most {declared.largest_cluster} records, {declared.widest_cluster} links apart",
        got=f"{clusters} larger clusters, e.g. around records {[each['record_id'] for each in largest]}",
        hint="look for a placeholder that passed for a value, raise largest_cluster or widest_cluster, "
        "or set oversize to split",
    )


def _no_pairs() -> tuple[NDArray[Any], ...]:
    return np.array([], dtype=np.int32), np.array([], dtype=np.int32), np.array([])


def _gathered(reader: pa.RecordBatchReader) -> Iterator[tuple[NDArray[Any], ...]]:
    """Gather the many small batches of a reader into few large ones."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in reader:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= _PAIRS_PER_BATCH:
            yield _columns(waiting)
            waiting, rows = [], 0
    if rows:
        yield _columns(waiting)


def _columns(batches: list[pa.RecordBatch]) -> tuple[NDArray[Any], ...]:
    return tuple(column.to_numpy() for column in pa.Table.from_batches(batches).columns)


def _shifted(pairs: tuple[NDArray[Any], ...], first: int, last: int, start: int) -> Pairs:
    left, right, weights = (part[first:last] for part in pairs)
    return left.astype(np.int64) - start, right.astype(np.int64) - start, weights
