"""How the records of a cluster hold together, which links out of it were cut and why, and the path between two.

A component is small beside the file, so it is clustered again, and its merges and rules are looked at.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from c360ml.errors import DataError
from c360ml.linkage.cluster_budget import fit_budget
from c360ml.linkage.clusters import WEIGHT_OF_UNSCORED_PAIR, Merges, average_linkage, contracted
from c360ml.linkage.constraints import NumberedConstraints
from c360ml.linkage.features import Features

if TYPE_CHECKING:
    import duckdb

Ints = NDArray[np.int64]
Answer = dict[str, Any]
REVIEWED = "reviewed match"
MEAN_WEIGHT = "mean weight"


class Component:
    """The records that links or reviewers connect with one record, clustered again.

    Args:
        con: connection with the tables of `Clustering`.
        features: the feature table.
        numbered: its constraints.
        weight: mean match weight above which clusters merge.
        rid: number of the record in the feature table, from 1.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        features: Features,
        numbered: NumberedConstraints,
        weight: float,
        rid: int,
    ) -> None:
        self._numbered, self._weight = numbered, weight
        found = con.execute(
            f"""select rid, record_id, source from positions join {features.name} using (rid)
                where component = (select component from positions where rid = $rid) order by position""",
            {"rid": rid},
        ).fetchnumpy()
        self.members = np.asarray(found["rid"], dtype=np.int64) - 1
        self.record_ids, self.sources = list(map(str, found["record_id"])), list(map(str, found["source"]))
        pairs = con.execute(
            """with mine as (
                   select rid, row_number() over (order by position) - 1 as place from positions
                   where component = (select component from positions where rid = $rid)
               )
               select l.place as l, r.place as r, match_weight from scored_pairs join pattern_weights using (pattern)
               join mine l on l.rid = rid_l join mine r on r.rid = rid_r order by all""",
            {"rid": rid},
        ).fetchnumpy()
        self.left, self.right = (np.asarray(pairs[side], dtype=np.int64) for side in "lr")
        self.weights = np.asarray(pairs["match_weight"], dtype=np.float64)
        self._cluster()

    def _cluster(self) -> None:
        count, declared = len(self.members), self._numbered.declared
        self._reviewed = self._numbered.within(self.members, self._numbered.must)
        self._joined = self._numbered.joined(self.members)
        self._all_merges = average_linkage(
            count,
            self.left,
            self.right,
            self.weights,
            threshold=self._weight,
            rules=self._numbered.rules(self.members),
            joined=self._joined,
        )
        linked = self.weights > self._weight
        self.merges: Merges = fit_budget(
            count,
            self._all_merges,
            np.concatenate([self.left[linked], self._reviewed[0]]),
            np.concatenate([self.right[linked], self._reviewed[1]]),
            largest=declared.largest_cluster,
            widest=declared.widest_cluster,
        )[0]
        self.labels = self.merges.labels(count)

    @cached_property
    def _before_budget(self) -> Ints:
        return self._all_merges.labels(len(self.members))

    def place(self, record_id: str) -> int:
        """Place of a record among the members."""
        return self.record_ids.index(record_id)

    # ------------------------------------------------------------------ what holds together
    def holds(self, label: int) -> list[Answer]:
        """Merges of one cluster, in their order."""
        mine = np.nonzero(self.labels[self.merges.keep] == label)[0]
        return [
            {
                "record_id_l": self.record_ids[self.merges.keep[merge]],
                "record_id_r": self.record_ids[self.merges.drop[merge]],
                "records": int(self.merges.sizes[merge]),
                "reason": MEAN_WEIGHT if np.isfinite(self.merges.mean_weights[merge]) else REVIEWED,
                "mean_weight": _finite(self.merges.mean_weights[merge]),
            }
            for merge in mine
        ]

    def path(self, left: int, right: int) -> list[Answer]:
        """Strongest path between two records of one cluster: no other has a stronger weakest link."""
        inside = (self.labels[self.left] == self.labels[left]) & (self.labels[self.right] == self.labels[left])
        ends = (
            np.concatenate([self.left[inside], self._reviewed[0]]),
            np.concatenate([self.right[inside], self._reviewed[1]]),
        )
        weights = np.concatenate([np.clip(self.weights[inside], -1000, 1000), np.full(len(self._reviewed[0]), np.inf)])
        order = np.lexsort((-weights, ends[1], ends[0]))
        first = np.ones(len(order), dtype=bool)
        first[1:] = (np.diff(ends[0][order]) != 0) | (np.diff(ends[1][order]) != 0)
        ones, others, weights = ends[0][order][first], ends[1][order][first], weights[order][first]
        before = self._strongest_tree(ones, others, weights, left)
        known = dict(zip(zip(ones.tolist(), others.tolist(), strict=True), weights.tolist(), strict=True))
        steps, at = [], right
        while at != left:
            pair = min(at, before[at]), max(at, before[at])
            steps.append(self._link(*pair, known[pair]))
            at = before[at]
        return steps[::-1]

    def _strongest_tree(self, ones: Ints, others: Ints, weights: NDArray[np.float64], root: int) -> list[int]:
        """Predecessor of each record in the maximum spanning tree, seen from a record."""
        # A sparse matrix takes zero for no link: rank the links, the strongest is 1.
        ranks = np.unique(-weights, return_inverse=True)[1] + 1
        shape = (len(self.members), len(self.members))
        tree = minimum_spanning_tree(coo_matrix((ranks, (ones, others)), shape=shape).tocsr())
        return [int(place) for place in breadth_first_order(tree, root, directed=False)[1]]

    # ------------------------------------------------------------------ what was cut
    def cuts(self, label: int) -> list[Answer]:
        """Clusters to which links of one cluster lead that were cut, and why."""
        ours, theirs = self.labels[self.left] == label, self.labels[self.right] == label
        cut = np.nonzero((ours ^ theirs) & (self.weights > self._weight))[0]
        others = np.where(ours[cut], self.labels[self.right[cut]], self.labels[self.left[cut]])
        return [self.cut(label, int(other)) for other in np.unique(others)]

    def cut(self, label: int, other: int) -> Answer:
        """Why two clusters did not merge."""
        reason, at_odds = self._forbidden(label, other)
        a, b = self.labels[self.left], self.labels[self.right]
        between = np.nonzero(((a == label) & (b == other)) | ((a == other) & (b == label)))[0]
        sizes = int((self.labels == label).sum()), int((self.labels == other).sum())
        links = between[self.weights[between] > self._weight]
        weakest = between[self.weights[between].argmin()] if len(between) else None
        return {
            "record_id": self.record_ids[other],
            "records": sizes[1],
            "reason": reason or self._budget(label, other) or MEAN_WEIGHT,
            "records_at_odds": at_odds,
            "mean_weight": self._mean_weight(between, label, other),
            "needed_weight": float(self._weight),
            "links": [self._link(*self._pair(link)) for link in links[np.argsort(-self.weights[links], kind="stable")]],
            "weakest_pair": None if weakest is None else self._link(*self._pair(weakest)),
            "unscored_pairs": sizes[0] * sizes[1] - len(between),
        }

    def _mean_weight(self, between: Ints, label: int, other: int) -> float:
        """Mean weight of all pairs between two clusters, as the clustering takes it."""
        weights = contracted(self._joined, self.left[between], self.right[between], self.weights[between])[2]
        counted = [len(np.unique(self._joined[self.labels == name])) for name in (label, other)]
        pairs = counted[0] * counted[1]
        return float((weights.sum() + (pairs - len(weights)) * WEIGHT_OF_UNSCORED_PAIR) / pairs)

    def _forbidden(self, label: int, other: int) -> tuple[str | None, list[str] | None]:
        """The rule that keeps two clusters apart, and two records that it is about."""
        drop = np.nonzero(self.labels != np.arange(len(self.labels)))[0]
        ones, others = np.nonzero(self.labels == label)[0], np.nonzero(self.labels == other)[0]
        left, right = np.repeat(ones, len(others)), np.tile(others, len(ones))
        strict = self._numbered.rules(self.members, most=1)
        for rule, by_record in zip(self._numbered.rules(self.members), strict, strict=True):
            rule.merge(self.labels[drop], drop)
            if not rule.allows(np.array([label]), np.array([other]))[0]:
                at_odds = int(np.nonzero(~by_record.allows(left, right))[0][0])
                one, two = int(left[at_odds]), int(right[at_odds])
                return self._named(rule.name, one, two), [self.record_ids[one], self.record_ids[two]]
        return None, None

    def _named(self, rule: str, one: int, two: int) -> str:
        if rule == "sources":
            return "duplicate_free_sources" if self.sources[one] == self.sources[two] else "never_link"
        return "reviewed non-match" if rule == "reviewed" else f"most_values_per_person: {rule}"

    def _budget(self, label: int, other: int) -> str | None:
        if self._before_budget[label] != self._before_budget[other]:
            return None
        records = int((self._before_budget == self._before_budget[label]).sum())
        return "largest_cluster" if records > self._numbered.declared.largest_cluster else "widest_cluster"

    # ------------------------------------------------------------------ small things
    def _pair(self, pair: int) -> tuple[int, int, float]:
        return int(self.left[pair]), int(self.right[pair]), float(self.weights[pair])

    def _link(self, left: int, right: int, weight: float) -> Answer:
        return {
            "record_id_l": self.record_ids[left],
            "record_id_r": self.record_ids[right],
            "match_weight": _finite(weight),
            "reviewed": bool(np.isinf(weight)),
        }


def explain_cluster(
    con: duckdb.DuckDBPyConnection, features: Features, numbered: NumberedConstraints, weight: float, record_id: str
) -> Answer:
    """Say how the cluster of a record holds together, and which links out of it were cut.

    Args:
        con: connection with the tables of `Clustering`.
        features: the feature table.
        numbered: its constraints.
        weight: mean match weight above which clusters merge.
        record_id: a record; a cluster id is one, too.

    Returns:
        `cluster_id`, `record_ids`, `merges` (in order, each with its mean weight, or `reviewed match`) and `cut`: for
        each cluster to which links lead, the `reason` that cut them (a constraint with two `records_at_odds`, the
        budget, or the `mean weight` of all pairs), those `links`, and the weakest pair.

    Raises:
        DataError: the record id is not among the records.
    """
    component = Component(con, features, numbered, weight, _rid(con, features, record_id))
    label = int(component.labels[component.place(record_id)])
    return {
        "cluster_id": component.record_ids[label],
        "record_ids": [component.record_ids[place] for place in np.nonzero(component.labels == label)[0]],
        "merges": component.holds(label),
        "cut": component.cuts(label),
    }


def explain_path(
    con: duckdb.DuckDBPyConnection,
    features: Features,
    numbered: NumberedConstraints,
    weight: float,
    left: str,
    right: str,
) -> Answer:
    """Say by which links two records are joined, or why they are not.

    Args:
        con: connection with the tables of `Clustering`.
        features: the feature table.
        numbered: its constraints.
        weight: mean match weight above which clusters merge.
        left: a record id.
        right: another one.

    Returns:
        If `joined`, the `path` whose weakest link is strongest. Else the `reason`: `never compared`, the `match
        weight` of the pair, or what `cut` their clusters apart.

    Raises:
        DataError: a record id is not among the records, or both are the same.
    """
    if left == right:
        raise DataError("a path needs two different records", got="one", hint="name another")
    rids = _rid(con, features, left), _rid(con, features, right)
    component = Component(con, features, numbered, weight, rids[0])
    if right not in component.record_ids:
        return _apart(con, features, numbered, rids, None)
    places = component.place(left), component.place(right)
    labels = int(component.labels[places[0]]), int(component.labels[places[1]])
    if labels[0] != labels[1]:
        return _apart(con, features, numbered, rids, component.cut(*labels))
    path = component.path(*places)
    scored = [step["match_weight"] for step in path if not step["reviewed"]]
    return {"joined": True, "path": path, "weakest_weight": min(scored, default=None)}


def _apart(
    con: duckdb.DuckDBPyConnection,
    features: Features,
    numbered: NumberedConstraints,
    rids: tuple[int, int],
    cut: Answer | None,
) -> Answer:
    """Two records of different clusters: their own pair, and the cut between their clusters if links lead across."""
    found = con.execute(
        """select match_weight, blocked from scored_pairs join pattern_weights using (pattern)
           where rid_l = least($l, $r) and rid_r = greatest($l, $r)""",
        {"l": rids[0], "r": rids[1]},
    ).fetchall()
    reason = cut["reason"] if cut else numbered.forbidding_sources(rids[0] - 1, rids[1] - 1)
    return {
        "joined": False,
        "reason": reason or ("match weight" if found else "never compared"),
        "match_weight": float(found[0][0]) if found else None,
        "blocked": bool(found and found[0][1]),
        "cut": cut,
    }


def _rid(con: duckdb.DuckDBPyConnection, features: Features, record_id: str) -> int:
    found = con.execute(f"select rid from {features.name} where record_id = $id", {"id": record_id}).fetchall()
    if not found:
        raise DataError("an explanation needs a record id of the fitted records", got="another", hint="check it")
    return int(found[0][0])


def _finite(weight: float) -> float | None:
    return float(weight) if np.isfinite(weight) else None
