"""The named RFM segments as data: which scores belong to which name.

Ranges are those of the R package `rfm`, which overlap and leave gaps. Here the narrower box wins (the
table is in order of the number of scores a box covers), and the last rows name what no box covers, so
that each of the 125 scores has exactly one name.
"""

from __future__ import annotations

from functools import cache
from itertools import product

Range = tuple[int, int]

RFM_RULES: tuple[tuple[str, Range, Range, Range], ...] = (
    # name, scores of recency, frequency, monetary value: 5 is the best fifth
    ("New", (4, 5), (1, 1), (1, 1)),
    ("Promising", (3, 4), (1, 1), (1, 1)),
    ("Can't Lose Them", (1, 1), (4, 5), (4, 5)),
    ("Champions", (4, 5), (4, 5), (4, 5)),
    ("Need Attention", (2, 3), (2, 3), (2, 3)),
    ("About To Sleep", (2, 3), (1, 2), (1, 2)),
    ("Lost", (1, 2), (1, 2), (1, 2)),
    ("Potential Loyalist", (3, 5), (1, 3), (1, 3)),
    ("At Risk", (1, 2), (2, 5), (2, 5)),
    ("Loyal", (2, 5), (3, 5), (3, 5)),
    # the remainder: frequent but cheap, or rare but dear
    ("Potential Loyalist", (4, 5), (1, 5), (1, 5)),
    ("Need Attention", (3, 3), (1, 5), (1, 5)),
    ("About To Sleep", (2, 2), (1, 5), (1, 5)),
    ("Lost", (1, 1), (1, 5), (1, 5)),
)

RFM_SEGMENTS: tuple[str, ...] = (
    "Champions",
    "Loyal",
    "Potential Loyalist",
    "New",
    "Promising",
    "Need Attention",
    "About To Sleep",
    "At Risk",
    "Can't Lose Them",
    "Lost",
)


def name_of(r_score: int, f_score: int, m_score: int) -> str:
    """Name the segment of three scores from 1 to 5.

    >>> name_of(5, 4, 5), name_of(1, 5, 5), name_of(1, 1, 5)
    ('Champions', "Can't Lose Them", 'Lost')
    """
    scores = (r_score, f_score, m_score)
    return next(
        name
        for name, *ranges in RFM_RULES
        if all(low <= score <= high for score, (low, high) in zip(scores, ranges, strict=True))
    )


@cache
def segment_by_code(bands: int) -> dict[str, str]:
    """Name every code such as '545'; scores in other than five bands are stretched to five.

    >>> segment_by_code(5)["545"], segment_by_code(3)["333"], len(segment_by_code(3))
    ('Champions', 'Champions', 27)
    """
    stretched = {score: 1 + int((score - 1) * 4 / (bands - 1) + 0.5) for score in range(1, bands + 1)}
    return {
        f"{r}{f}{m}": name_of(stretched[r], stretched[f], stretched[m])
        for r, f, m in product(range(1, bands + 1), repeat=3)
    }
