"""What a cluster may not hold, declared as data, and numbered for the arrays that cluster.

    duplicate_free_sources   two records of one such source are never one person
    never_link               two sources whose records are never one person
    most_values_per_person   one person has at most k values of an identifier: records with a further one stay apart
    most_people_per          one value of an identifier belongs to at most k people: a value that more people hold
                             identifies nobody, so that agreeing on it is no evidence (see `shared_values`)
    reviewed_pairs           pairs that reviewers joined or told apart (see `decisions`)
    largest_cluster, widest_cluster, oversize   the budget (see `cluster_budget`)

A null value never counts as one. Reviewed matches are joined first; one that would break a rule is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from c360ml.errors import ConfigError, DataError
from c360ml.linkage.cluster_budget import LARGEST_CLUSTER, WIDEST_CLUSTER
from c360ml.linkage.clusters import components
from c360ml.linkage.decisions import read_decisions
from c360ml.linkage.features import NAMED_FEATURES, Features
from c360ml.linkage.merge_rules import MergeRule, PairRule, SourceRule, ValueRule

if TYPE_CHECKING:
    import duckdb

Ints = NDArray[np.int64]
_SHOWN = 5


@dataclass(frozen=True)
class Constraints:
    """What a cluster may not hold; the module says what each part means.

    >>> Constraints(duplicate_free_sources=("crm",), never_link=(("crm", "web"),)).never
    (('crm', 'crm'), ('crm', 'web'))
    """

    duplicate_free_sources: tuple[str, ...] = ()
    never_link: tuple[tuple[str, str], ...] = ()
    most_values_per_person: Mapping[str, int] = field(default_factory=dict)
    most_people_per: Mapping[str, int] = field(default_factory=dict)
    reviewed_pairs: Any = None
    largest_cluster: int = LARGEST_CLUSTER
    widest_cluster: int = WIDEST_CLUSTER
    oversize: Literal["split", "stop"] = "split"

    def __post_init__(self) -> None:
        limits = {**self.most_values_per_person, **self.most_people_per}
        limits |= {"largest_cluster": self.largest_cluster, "widest_cluster": self.widest_cluster}
        wrong = {name: most for name, most in limits.items() if isinstance(most, bool) or int(most) != most or most < 1}
        if wrong:
            raise ConfigError("limits of clusters must be whole numbers from 1", got=wrong, hint="mend or leave out")
        if any(len(pair) != 2 for pair in self.never_link):
            raise ConfigError(
                "never_link must be pairs of sources", got=self.never_link, hint='e.g. [["crm", "suppliers"]]'
            )
        if self.oversize not in ("split", "stop"):
            raise ConfigError("oversize must be split or stop", got=self.oversize, hint="split is the default")

    @property
    def never(self) -> tuple[tuple[str, str], ...]:
        """All pairs of sources that never share a cluster, the lesser name first."""
        alone = {(name, name) for name in self.duplicate_free_sources}
        return tuple(sorted(alone | {(min(pair), max(pair)) for pair in self.never_link}))

    def to_dict(self) -> dict[str, Any]:
        """What is declared, as plain JSON; reviewers' decisions are data and stay out."""
        return {
            "duplicate_free_sources": list(self.duplicate_free_sources),
            "never_link": [list(pair) for pair in self.never_link],
            "most_values_per_person": dict(self.most_values_per_person),
            "most_people_per": dict(self.most_people_per),
            "largest_cluster": self.largest_cluster,
            "widest_cluster": self.widest_cluster,
            "oversize": self.oversize,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Constraints:
        """Rebuild from `to_dict`.

        >>> Constraints.from_dict(Constraints(most_people_per={"email": 4}).to_dict()).most_people_per
        {'email': 4}
        """
        sources = {
            "duplicate_free_sources": tuple(content.get("duplicate_free_sources", ())),
            "never_link": tuple((one, other) for one, other in content.get("never_link", ())),
        }
        return cls(**{**content, **sources})


def require_sources(constraints: Constraints, known: Collection[str]) -> None:
    """Check that the sources that constraints name are among the known.

    Raises:
        ConfigError: one is not.
    """
    unknown = sorted({name for pair in constraints.never for name in pair} - set(known))
    if unknown:
        raise ConfigError(
            "duplicate_free_sources and never_link must name sources of the records",
            got=unknown,
            hint=f"choose of {sorted(known)}",
        )


def permitted_pairs(records: int, sizes: Mapping[Any, int], never: Collection[tuple[Any, Any]]) -> float:
    """Number of pairs of any two records but those of sources that never share a cluster.

    Args:
        records: number of records.
        sizes: number of records of each source.
        never: pairs of sources.

    >>> permitted_pairs(4, {"crm": 3, "web": 1}, [("crm", "crm")])
    3.0
    """
    forbidden = sum(
        sizes[one] * (sizes[one] - 1) / 2 if one == other else float(sizes[one]) * sizes[other] for one, other in never
    )
    return float(records * (records - 1) / 2 - forbidden)


class NumberedConstraints:
    """Constraints of one feature table: its sources, identifier values and reviewed pairs as numbers.

    Records are numbered from 0 in the order of the feature table. `unknown_pairs` counts reviewed pairs that name a
    record which the table does not have.

    Raises:
        ConfigError: a source or identifier is not in the table.
        DataError: reviewed pairs contradict each other or another constraint.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, features: Features, constraints: Constraints) -> None:
        self.declared, self._con, self._features = constraints, con, features
        self.records = features.records
        self._never: list[tuple[int, int]] = []
        self._sources = self._number_sources()
        self._values = {
            name: self._number_values(name, "most_values_per_person") for name in constraints.most_values_per_person
        }
        for name in constraints.most_people_per:
            self._require_column(name, "most_people_per")
        self.must, self.cannot, self.unknown_pairs = self._read_reviewed()
        self._place = np.full(self.records, -1)
        self._check_reviewed()

    # ------------------------------------------------------------------ numbering
    def _number_sources(self) -> Ints:
        numbers = {
            name: number for number, name in enumerate(sorted({n for pair in self.declared.never for n in pair}))
        }
        known = self._con.execute(f"select distinct source from {self._features.name} order by all").fetchall()
        self._known_sources = {row[0] for row in known}
        self._never = [(numbers[one], numbers[other]) for one, other in self.declared.never]
        return self._numbers("coalesce(list_position($names, source), 0) - 1", {"names": list(numbers)})

    def _number_values(self, name: str, setting: str) -> Ints:
        self._require_column(name, setting)
        return self._numbers(f'coalesce(dense_rank() over (order by "{name}" nulls last), 0) - 1', {}, name)

    def _numbers(self, number: str, parameters: dict[str, Any], filled: str = "rid") -> Ints:
        found = self._con.execute(
            f"""select case when "{filled}" is null then -1 else number end as number
                from (select *, {number} as number from {self._features.name}) order by rid""",
            parameters,
        ).fetchnumpy()
        return np.asarray(found["number"], dtype=np.int64)

    def _require_column(self, name: str, setting: str) -> None:
        names = (*NAMED_FEATURES, *self._features.attributes)
        if name not in names:
            raise ConfigError(f"{setting} must name columns of the records", got=name, hint=f"choose of {names}")

    def _read_reviewed(self) -> tuple[Ints, Ints, int]:
        """Pairs to join and pairs to keep apart, each as two rows of record numbers."""
        if self.declared.reviewed_pairs is None:
            nothing = np.zeros((2, 0), dtype=np.int64)
            return nothing, nothing, 0
        read_decisions(self._con, self.declared.reviewed_pairs).create_view("decided", replace=True)
        found = self._con.execute(f"""
            select decision, l.rid - 1 as l, r.rid - 1 as r
            from decided left join {self._features.name} l on l.record_id = record_id_l
            left join {self._features.name} r on r.record_id = record_id_r
            where decision <> 'possible' order by all
        """).fetchnumpy()
        left, right = (np.ma.filled(np.ma.asarray(found[side]), -1).astype(np.int64) for side in "lr")
        known = (left >= 0) & (right >= 0)
        ends, decision = np.stack([left, right])[:, known], np.asarray(found["decision"])[known]
        return ends[:, decision == "match"], ends[:, decision == "non-match"], int((~known).sum())

    # ------------------------------------------------------------------ use
    def require_sources(self) -> None:
        """Check that the sources named are there; other records than those learnt from may lack some.

        Raises:
            ConfigError: a source is not among the records'.
        """
        require_sources(self.declared, self._known_sources)

    def permit(self, pairs: str) -> str:
        """Leave only pairs in a table `rid_l, rid_r` whose sources may share a cluster; returns its name."""
        if self._never:
            never = self.declared.never
            both_ways = pa.table(
                {"l": [a for a, _ in never] + [b for _, b in never], "r": [b for _, b in never] + [a for a, _ in never]}
            )
            self._con.register("never_linked", both_ways)
            self._con.execute(f"""
                create or replace temp table {pairs} as
                select pairs.* from {pairs} pairs
                join {self._features.name} l on l.rid = rid_l join {self._features.name} r on r.rid = rid_r
                anti join never_linked on never_linked.l = l.source and never_linked.r = r.source
            """).fetchall()
            self._con.unregister("never_linked")
        return pairs

    @property
    def permitted_pairs(self) -> float:
        """Number of pairs of any two records whose sources may share a cluster."""
        numbers = max((max(pair) for pair in self._never), default=0) + 1
        sizes = np.bincount(self._sources[self._sources >= 0], minlength=numbers)
        return permitted_pairs(self.records, dict(enumerate(sizes)), self._never)

    def joined(self, members: Ints) -> Ints:
        """Label, per member, of the reviewed group it is in from the start: its least place among the members.

        Args:
            members: record numbers; whoever is reviewed together must be in it together.
        """
        left, right = self.within(members, self.must)
        labels = components(len(members), left, right)
        least = np.full(len(members), len(members))
        np.minimum.at(least, labels, np.arange(len(members)))
        return least[labels]

    def rules(self, members: Ints, *, most: int | None = None) -> list[MergeRule]:
        """The rules over some records, numbered by their place in `members`.

        Args:
            members: record numbers.
            most: limit of values to use instead of those declared.
        """
        rules: list[MergeRule] = []
        if self._never:
            rules.append(SourceRule(self._sources[members], self._never))
        for name, declared in self.declared.most_values_per_person.items():
            rules.append(ValueRule(name, self._values[name][members], most or declared))
        left, right = self.within(members, self.cannot)
        if len(left):
            rules.append(PairRule(len(members), left, right))
        return rules

    def within(self, members: Ints, pairs: Ints) -> tuple[Ints, Ints]:
        """Pairs of record numbers that lie within `members`, by their places there."""
        if not pairs.size:
            return pairs[0], pairs[1]
        self._place[members] = np.arange(len(members))
        ends = self._place[pairs]
        self._place[members] = -1
        ends = ends[:, (ends >= 0).all(axis=0)]
        return ends[0], ends[1]

    def forbidding_sources(self, left: int, right: int) -> str | None:
        """The constraint by which the sources of two records never share a cluster, if there is one."""
        one, other = int(self._sources[left]), int(self._sources[right])
        if not {(one, other), (other, one)} & set(self._never):
            return None
        return "duplicate_free_sources" if one == other else "never_link"

    # ------------------------------------------------------------------ contradictions
    def _check_reviewed(self) -> None:
        """A group of reviewed matches may not break a rule."""
        if not self.must.size:
            return
        members = np.unique(self.must)
        labels = self.joined(members)
        for rule in self.rules(members):
            left, right = self._clash(members, labels, rule)
            if len(left):
                what = "reviewed non-matches" if rule.name == "reviewed" else f"the constraint on {rule.name}"
                ones, others = self.record_ids(members[left[:_SHOWN]]), self.record_ids(members[right[:_SHOWN]])
                shown = ", ".join(f"{one} and {other}" for one, other in zip(ones, others, strict=True))
                raise DataError(
                    f"reviewed matches must not contradict {what}",
                    got=f"{len(left)} pairs that reviewed matches connect, e.g. {shown}",
                    hint="mend the reviewed pairs that lead from one to the other, or the constraint",
                )

    def _clash(self, members: Ints, labels: Ints, rule: MergeRule) -> tuple[Ints, Ints]:
        """Join the groups one record at a time; the records that may not enter, and the first of their group."""
        clash = np.zeros(len(members), dtype=bool)
        order = np.argsort(labels, kind="stable")
        turn = np.arange(len(members)) - np.searchsorted(labels[order], labels[order])
        for number in range(1, int(turn.max(initial=0)) + 1):
            entering = order[turn == number]
            clash[entering] = ~rule.allows(labels[entering], entering)
            rule.merge(labels[entering], entering)
        found = np.nonzero(clash)[0]
        return labels[found], found

    def record_ids(self, numbers: Ints) -> list[str]:
        """Record ids of record numbers, in their order."""
        rows = self._con.execute(
            f"select record_id from (select unnest($rids) as rid, generate_subscripts($rids, 1) as place) "
            f"join {self._features.name} using (rid) order by place",
            {"rids": [int(number) + 1 for number in numbers]},
        ).fetchall()
        return [row[0] for row in rows]
