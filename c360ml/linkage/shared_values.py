"""One value of an identifier belongs to at most k people: agreeing on a value that more hold is no evidence.

Who holds a value is known only of clusters. So records are clustered; pairs that agree on a value which more than k
clusters hold are weighed anew as if the value were missing; records are clustered again, until no value is held by
more people than it may that still counts. Evidence is only ever withheld, so this comes to an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from c360ml.errors import ConfigError
from c360ml.linkage.features import Features
from c360ml.linkage.splink_engine import Patterns

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class LimitedIdentifier:
    """An identifier whose values belong to at most `most` people; `radix` and `size` tell its digit in a pattern."""

    name: str
    most: int
    radix: int
    size: int

    def holders(self, features: str) -> str:
        """SQL of `rid, value`: the records of a value that more clusters hold than may, see `final_labels`."""
        return f"""
            with overheld as (
                select "{self.name}" as value from {features} join final_labels using (rid)
                where "{self.name}" is not null group by all having count(distinct label) > {self.most}
            )
            select rid, value from {features} join overheld on value = "{self.name}"
        """

    def withhold(self, con: duckdb.DuckDBPyConnection) -> None:
        """Make it missing in the pairs of `scored_pairs` that agree on a value of the table `holders`.

        What these pairs were is the table `newly_withheld`.
        """
        digit = f"scored_pairs.pattern // {self.radix} % {self.size}"
        con.execute(f"""
            create or replace temp table newly_withheld as
            select rid_l, rid_r, pattern
            from scored_pairs join holders l on l.rid = rid_l join holders r on r.rid = rid_r and r.value = l.value
            where {digit} > 0
        """).fetchall()
        con.execute(f"""
            update scored_pairs set pattern = scored_pairs.pattern - ({digit}) * {self.radix}
            from newly_withheld n where n.rid_l = scored_pairs.rid_l and n.rid_r = scored_pairs.rid_r
        """).fetchall()


def limited_identifiers(patterns: Patterns, most_people_per: Mapping[str, int]) -> tuple[LimitedIdentifier, ...]:
    """Find the limited identifiers among the comparisons.

    Raises:
        ConfigError: an identifier has no comparison of its own.
    """
    digits = {
        comparison.name: (radix, len(comparison.labels) + 1)
        for comparison, radix in zip(patterns.comparisons, patterns.radices, strict=True)
    }
    unknown = sorted(set(most_people_per) - set(digits))
    if unknown:
        raise ConfigError(
            "most_people_per must name identifiers that are compared",
            got=unknown,
            hint=f"choose of {sorted(digits)}",
        )
    return tuple(LimitedIdentifier(name, most, *digits[name]) for name, most in most_people_per.items())


class SharedValues:
    """Withholds evidence from `scored_pairs`: the comparison of a value that too many clusters hold becomes missing.

    What the patterns were is kept in the table `withheld_pairs`.

    Raises:
        ConfigError: an identifier has no comparison of its own.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        features: Features,
        engine: Patterns,
        most_people_per: Mapping[str, int],
    ) -> None:
        self._con, self._features = con, features
        self._limited = limited_identifiers(engine, most_people_per)

    def restore(self) -> bool:
        """Let all pairs count in full again; whether any did not."""
        if not self._limited:
            return False
        self._con.execute(
            "create temp table if not exists withheld_pairs (rid_l bigint, rid_r bigint, pattern bigint)"
        ).fetchall()
        self._con.execute("""
            update scored_pairs set pattern = withheld_pairs.pattern from withheld_pairs
            where withheld_pairs.rid_l = scored_pairs.rid_l and withheld_pairs.rid_r = scored_pairs.rid_r
        """).fetchall()
        held = self._con.execute("delete from withheld_pairs").fetchall()[0][0]
        return bool(held)

    @property
    def withheld(self) -> int:
        """Number of pairs from which evidence is withheld."""
        if not self._limited:
            return 0
        return int(self._con.execute("select count(*) from withheld_pairs").fetchall()[0][0])

    def withhold(self) -> int:
        """Withhold agreement on values that more clusters hold than may; returns the number of pairs it concerns."""
        return sum(self._withhold(each) for each in self._limited)

    def _withhold(self, limited: LimitedIdentifier) -> int:
        holders = limited.holders(self._features.name)
        self._con.execute(f"create or replace temp table holders as {holders}").fetchall()
        limited.withhold(self._con)
        self._con.execute("""
            insert into withheld_pairs
            select * from newly_withheld anti join withheld_pairs using (rid_l, rid_r)
        """).fetchall()
        return int(self._con.execute("select count(*) from newly_withheld").fetchall()[0][0])
