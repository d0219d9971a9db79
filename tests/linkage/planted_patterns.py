"""Agreement patterns of pairs whose kind is known: persons, households and strangers of one file."""

from __future__ import annotations

import numpy as np

from c360ml.linkage.comparisons import DATE_OF_BIRTH, EMAIL, GIVEN_NAME, STREET, SURNAME

COMPARISONS = (GIVEN_NAME, SURNAME, DATE_OF_BIRTH, STREET, EMAIL)
RECORDS = 1500
ALL_PAIRS = RECORDS * (RECORDS - 1) / 2
PLANTED = {
    "person": (2000, (0.93, 0.95, 0.97, 0.85, 0.8)),
    "household": (4000, (0.01, 0.95, 0.0005, 0.95, 0.15)),
    "unrelated": (int(ALL_PAIRS) - 6000, (0.01, 0.003, 0.0005, 0.0001, 0.00001)),
}


def digit(comparison, label):
    """The digit by which an agreement pattern names a level."""
    return len(comparison.labels) - 1 - comparison.labels.index(label)


def draw(rng, pairs, agreement, missing):
    """Patterns of one kind of pair: full agreement with the given probability, else different, or missing."""
    columns = []
    for comparison, probability in zip(COMPARISONS, agreement, strict=True):
        best = len(comparison.labels) - 1
        digits = np.where(rng.random(pairs) < probability, best, 0)
        columns.append(np.where(rng.random(pairs) < missing[comparison.name], -1, digits))
    return np.stack(columns, axis=1)


def blocked(digits):
    """Blocking brings together pairs that agree on two things, or on birth, street or e-mail."""
    agrees = digits > 0
    return digits[(agrees.sum(axis=1) >= 2) | agrees[:, 2:].any(axis=1)]


def planted_patterns(seed):
    """Blocked pairs of all kinds, the kind of each, and random pairs; date of birth is mostly missing."""
    rng = np.random.default_rng(seed)
    missing = {"given_name": 0.02, "surname": 0.02, "date_of_birth": 0.8, "street": 0.2, "email": 0.5}
    kinds = [blocked(draw(rng, pairs, agreement, missing)) for pairs, agreement in PLANTED.values()]
    kind = np.repeat(np.array(list(PLANTED)), [len(each) for each in kinds])
    return np.concatenate(kinds), kind, draw(rng, 200_000, PLANTED["unrelated"][1], missing)
