"""One value of an identifier belongs to at most k people: agreeing on a value that more hold is no evidence.

Who holds a value is known only of clusters. So records are clustered; pairs that agree on a value which more than k
clusters hold are weighed anew as if the value were missing; records are clustered again, until no value is held by
more people than it may that still counts. Evidence is only ever withheld, so this comes to an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from c360ml.errors import ConfigError
from c360ml.linkage.features import Features
from c360ml.linkage.splink_engine import SplinkEngine

if TYPE_CHECKING:
    import duckdb


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
        engine: SplinkEngine,
        most_people_per: Mapping[str, int],
    ) -> None:
        self._con, self._features = con, features
        self._radices = {
            comparison.name: (radix, len(comparison.labels) + 1)
            for comparison, radix in zip(engine.comparisons, engine.radices, strict=True)
        }
        self._most_people_per = most_people_per
        unknown = sorted(set(most_people_per) - set(self._radices))
        if unknown:
            raise ConfigError(
                "most_people_per must name identifiers that are compared",
                got=unknown,
                hint=f"choose of {sorted(self._radices)}",
            )

    def restore(self) -> bool:
        """Let all pairs count in full again; whether any did not."""
        if not self._most_people_per:
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
        if not self._most_people_per:
            return 0
        return int(self._con.execute("select count(*) from withheld_pairs").fetchall()[0][0])

    def withhold(self) -> int:
        """Withhold agreement on values that more clusters hold than may; returns the number of pairs it concerns."""
        return sum(self._withhold(name, most) for name, most in self._most_people_per.items())

    def _withhold(self, name: str, most: int) -> int:
        radix, size = self._radices[name]
        self._con.execute(
            f"""
            create or replace temp table newly_withheld as
            with overheld as (
                select "{name}" as value from {self._features.name} join final_labels using (rid)
                where "{name}" is not null group by all having count(distinct label) > $most
            ),
            holders as (
                select rid, value from {self._features.name} join overheld on value = "{name}"
            )
            select rid_l, rid_r, pattern
            from scored_pairs join holders l on l.rid = rid_l join holders r on r.rid = rid_r and r.value = l.value
            where pattern // {radix} % {size} > 0
            """,
            {"most": most},
        ).fetchall()
        self._con.execute("""
            insert into withheld_pairs
            select * from newly_withheld anti join withheld_pairs using (rid_l, rid_r)
        """).fetchall()
        self._con.execute(f"""
            update scored_pairs
            set pattern = scored_pairs.pattern - (scored_pairs.pattern // {radix} % {size}) * {radix}
            from newly_withheld n where n.rid_l = scored_pairs.rid_l and n.rid_r = scored_pairs.rid_r
        """).fetchall()
        return int(self._con.execute("select count(*) from newly_withheld").fetchall()[0][0])
