"""The pipeline's step that draws who else the records in doubt may be: `silver.doubtful_partitions`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from c360ml import tables
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.constraints import NumberedConstraints
from c360ml.linkage.doubtful_units import DoubtfulUnits
from c360ml.linkage.features import Features
from c360ml.linkage.standing_components import ChangedPairs, standing_components
from c360ml.linkage.step import constraints_of

Ints = NDArray[np.int64]

MOST_ROWS = 5_000_000
"""Above so many records times draws, fewer partitions are drawn: an interval needs some, not many, draws."""
LEAST_DRAWS = 10

_NUMBERED = f"""
    create or replace temp table doubt_records as
    select row_number() over (order by record_id) as rid, record_id, source{{limited}} from {tables.RECORDS.path}
"""
_RECORD_IDS = "select record_id from doubt_records order by rid"
# In no order: weights are added up exactly.
_PAIRS = f"""
    select (l.rid - 1)::bigint as l, (r.rid - 1)::bigint as r, match_weight, is_link
    from {tables.LINKS.path}
    join doubt_records l on l.record_id = record_id_l join doubt_records r on r.record_id = record_id_r
"""
_NONE = "select null as draw, null as record_id, null as part where false"


STANDING_RECORDS = "standing_records"
"""Temporary table: records of components that are not drawn again, for they are as they were."""


def doubt_identities(lake: Lakehouse, config: Config, changed: tuple[str, str] | None = None) -> dict[str, Any]:
    """Draw partitions of the records whose identity is in doubt; write who is with whom in each draw.

    Args:
        lake: the lakehouse.
        config: names the draws.
        changed: names of two tables of what is new, gone or other than before: `record_id`, of records and of pairs
            that hold or held clusters together; and other pairs, `record_id_l, record_id_r, near`. Then components
            that are as they were are not drawn, and `standing_records` are theirs; see `standing_components`.

    Returns:
        Counts: draws (in large files fewer than asked for), records in doubt, components, the largest one, and how
        many were too large to list.
    """
    draws = config.value.identity_draws
    if not draws:
        lake.write(tables.DOUBTFUL_PARTITIONS, _NONE)
        return {"draws": 0}
    constraints = constraints_of(lake, config.linkage)
    limited = sorted({*constraints.most_values_per_person, *constraints.most_people_per})
    lake.rows(_NUMBERED.format(limited="".join(f', "{name}"' for name in limited)))
    records = int(lake.one("select count(*) from doubt_records"))
    features = Features("doubt_records", records, frozenset(), ())
    numbered = NumberedConstraints(lake.con, features, constraints)
    doubtful = _find(lake, numbered, changed)
    lake.say(f"drawing who is who among {len(doubtful.members):,} units in doubt")
    in_doubt = _records_in_doubt(doubtful)
    draws = min(draws, max(LEAST_DRAWS, MOST_ROWS // max(len(in_doubt), 1)))
    drawn = doubtful.draw(draws, numbered.rules(np.arange(records)), config.linkage.seed)
    _write(lake, doubtful, drawn, in_doubt)
    lake.rows("drop table doubt_records")
    _, sizes = np.unique(doubtful.component, return_counts=True)
    return {
        "draws": draws,
        "records_in_doubt": len(in_doubt),
        "records": records,
        "units_in_doubt": len(doubtful.members),
        "components": len(sizes),
        "largest_component": int(sizes.max(initial=0)),
    }


def _find(lake: Lakehouse, numbered: NumberedConstraints, changed: tuple[str, str] | None) -> DoubtfulUnits:
    found = lake.sql(_PAIRS).fetchnumpy()
    left, right = (np.asarray(found[side], dtype=np.int64) for side in "lr")
    weights = np.asarray(found["match_weight"], dtype=np.float64)
    together = np.asarray(found["is_link"], dtype=bool)
    joined = numbered.joined(np.arange(numbered.records))
    doubtful = DoubtfulUnits.of(numbered.records, left, right, weights, together, joined)
    if changed is None:
        return doubtful
    records, pairs = changed
    standing = standing_components(
        doubtful,
        left,
        right,
        weights,
        together,
        joined,
        changed=np.asarray(lake.sql(_CHANGED_RECORDS.format(records=records)).fetchnumpy()["changed"], dtype=bool),
        pairs=_changed_pairs(lake, pairs),
    )
    drawn = doubtful.without(standing)
    _note_standing(lake, np.setdiff1d(_records_in_doubt(doubtful), _records_in_doubt(drawn)))
    return drawn


_CHANGED_RECORDS = """
    select changed.record_id is not null as changed
    from doubt_records left join {records} changed using (record_id) order by rid
"""
_CHANGED_PAIRS = """
    select coalesce(l.rid - 1, -1)::bigint as l, coalesce(r.rid - 1, -1)::bigint as r, near
    from {pairs}
    left join doubt_records l on l.record_id = record_id_l left join doubt_records r on r.record_id = record_id_r
"""


def _changed_pairs(lake: Lakehouse, pairs: str) -> ChangedPairs:
    found = lake.sql(_CHANGED_PAIRS.format(pairs=pairs)).fetchnumpy()
    left, right = (np.asarray(found[side], dtype=np.int64) for side in "lr")
    return ChangedPairs(left, right, np.asarray(found["near"], dtype=bool))


def _note_standing(lake: Lakehouse, records: Ints) -> None:
    """Write `standing_records`."""
    lake.con.register("standing_numbers", pa.table({"number": records}))
    lake.rows(f"""
        create or replace temp table {STANDING_RECORDS} as
        select record_id from doubt_records semi join standing_numbers on number = rid - 1
    """)
    lake.con.unregister("standing_numbers")


def _places(doubtful: DoubtfulUnits) -> Ints:
    """Place of each unit among those in doubt, -1 if it is in none."""
    place = np.full(len(doubtful.unit), -1)
    place[doubtful.members] = np.arange(len(doubtful.members))
    return place


def _records_in_doubt(doubtful: DoubtfulUnits) -> Ints:
    return np.flatnonzero(_places(doubtful)[doubtful.unit] >= 0)


def _write(lake: Lakehouse, doubtful: DoubtfulUnits, drawn: Ints, records: Ints) -> None:
    """Spell the parts out by record."""
    parts = drawn[:, _places(doubtful)[doubtful.unit[records]]]
    ids = lake.sql(_RECORD_IDS).to_arrow_table()["record_id"].combine_chunks()
    table = pa.table(
        {
            "draw": np.tile(np.arange(len(drawn), dtype=np.int32), len(records)),
            "record_id": pa.DictionaryArray.from_arrays(np.repeat(records, len(drawn)), ids),
            "part": pa.DictionaryArray.from_arrays(parts.T.ravel(), ids),
        }
    )
    lake.con.register("drawn_partitions", table)
    lake.write(tables.DOUBTFUL_PARTITIONS, "select draw, record_id, part from drawn_partitions")
    lake.con.unregister("drawn_partitions")
