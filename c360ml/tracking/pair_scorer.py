"""Two raw records without a lakehouse around them: how probable it is that they are one person."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from c360ml.identity.resolver import RecordStandardizer, checked_record
from c360ml.lakehouse import connect
from c360ml.linkage import LinkageModel, online

Step = dict[str, float | str]


class PairScorer:
    """Scores pairs with a linkage model, from raw fields; safe to call from several threads.

    A name's rarity is known of a whole table only, and a table's names stay in its lakehouse. Alone, a name counts
    as common and a contact as one person's, so weights are on the careful side for rare names.

    Args:
        model: linkage model as JSON.
        country: ISO 3166 code assumed for phones, dates and postcodes.
    """

    def __init__(self, model: Mapping[str, Any], *, country: str) -> None:
        self._model = LinkageModel.from_dict(dict(model))
        self._con = connect(threads=1)
        self._standardizer = RecordStandardizer(self._con, country)
        self._lock = threading.Lock()

    def score(
        self, left: Mapping[str, str | None], right: Mapping[str, str | None]
    ) -> tuple[float, float, tuple[Step, ...]]:
        """Weigh a pair: match weight (log2), match probability, and the waterfall of the weight.

        Raises:
            ColumnError: a field is no role.
            DataError: a value is no text, or too long.
        """
        records = [checked_record(left), checked_record(right)]
        comparisons = self._model.comparisons_
        with self._lock:
            rows = f"({online.new_features(self._standardizer.standardize(records), comparisons)})"
            found = self._con.execute(f"""
                select {online.pattern_columns(comparisons)}
                from {rows} l, {rows} r where l.record_id = '0' and r.record_id = '1'
            """).fetchall()
        digits = np.array(found, dtype=np.int64)
        weight = float(online.match_weights(self._model, digits)[0])
        return weight, online.match_probability(weight), tuple(online.explain_pattern(self._model, digits[0]))
