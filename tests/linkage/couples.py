"""Couples of one address and land line, with one to three records each."""

from __future__ import annotations

import numpy as np
import pandas as pd

COUPLE_ROLES = {
    "given_name": "given",
    "surname": "surname",
    "email": "email",
    "phone": "phone",
    "date_of_birth": "born",
    "address": "address",
    "postcode": "zip",
}
GIVEN = [
    "ann",
    "bob",
    "carla",
    "dan",
    "eva",
    "finn",
    "gina",
    "hugo",
    "ida",
    "jon",
    "kim",
    "leo",
    "mona",
    "ned",
    "olga",
]
SURNAMES = ["abbott", "baker", "clarke", "dixon", "ellis", "foster", "grant", "hughes", "irwin", "jarvis", "knight"]


def make_couples(households: int, seed: int) -> pd.DataFrame:
    """Rows whose id starts with the person: `p0007` and 0 or 1 for the member, then the copy."""
    rng = np.random.default_rng(seed)
    rows = []
    for house in range(households):
        surname = f"{SURNAMES[rng.integers(len(SURNAMES))]}{chr(97 + house % 26)}"
        for member, given in enumerate(rng.choice(GIVEN, 2, replace=False)):
            born = f"{1950 + rng.integers(50)}-{1 + rng.integers(12):02d}-{1 + rng.integers(28):02d}"
            rows += [_row(rng, house, member, copy, given, surname, born) for copy in range(rng.integers(1, 4))]
    return pd.DataFrame(rows)


def _row(rng, house, member, copy, given, surname, born):
    return {
        "id": f"p{house:04d}{member}{copy}",
        "given": given[0] if rng.random() < 0.1 else given,
        "surname": surname if rng.random() < 0.95 else surname[:-1] + "x",
        "email": f"{given}.{surname}{house}@mail.org" if rng.random() < 0.6 else None,
        "phone": f"212555{house:04d}" if rng.random() < 0.6 else None,
        "born": born if rng.random() < 0.3 else None,
        "address": f"{100 + house} Oak{house % 40} St" if rng.random() < 0.8 else None,
        "zip": f"{10000 + house % 60}",
    }
