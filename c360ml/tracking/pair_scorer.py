"""Two raw records without a lakehouse around them: how probable it is that they are one person."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from c360ml.identity.resolution import checked_record
from c360ml.linkage import online
from c360ml.standardize.one_record import RecordStandardizer

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
        self._scorer = online.OnlineScorer(model)
        self._standardizer = RecordStandardizer(country)
        self._lock = threading.Lock()

    def score(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> tuple[float, float, tuple[Step, ...]]:
        """Weigh a pair: match weight (log2), match probability, and the waterfall of the weight.

        Raises:
            ColumnError: a field is no role.
            DataError: a value is no text, or too long.
        """
        given = checked_record(left), checked_record(right)
        with self._lock:
            stored, new = (self._standardizer.standardize(record) for record in given)
            digits = self._scorer.digits(new, [self._scorer.alone(stored)])
        weight = float(self._scorer.match_weights(digits)[0])
        return weight, online.match_probability(weight), tuple(self._scorer.explain(digits[0]))
