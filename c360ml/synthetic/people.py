"""People and their households: who lives with whom, names, sex, birthdays, marriages.

Drawn with numpy, one array per attribute: every person is a row, never a turn of a loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from c360ml.synthetic.planted import OBSERVATION_END

Strings = np.ndarray[Any, Any]

HOUSEHOLD_SIZES = {1: 0.30, 2: 0.34, 3: 0.16, 4: 0.13, 5: 0.07}
ORIGINS = {"anglo": 0.60, "hispanic": 0.17, "european": 0.14, "asian": 0.09}
PARTNER_SHARE = 0.85
PARTNER_KEEPS_SURNAME_SHARE = 0.22
JUNIOR_SHARE = 0.20
MARRIED_LATELY_SHARE = 0.35
OWN_NAMES_OF_ORIGIN_SHARE = 0.65
COMPOSED_SURNAME_SHARE = 0.25
# Surnames have a long tail that no list holds: two parts give 2,000 rare ones.
_FIRST_PARTS = (
    "Ander Black Brad Brook Burl Chad Crom Dun East Fair Far Gold Green Grim Hal Harts Haw Hol Kings "
    "Lang Lock Long Mar Mill New North Oak Pem Prest Rad Red Rock Ros Sea Shel Stan Strat Sumner Thorn "
    "Under Wake Wal War Wes Whit Wild Win Wood Wol Yard"
).split()
_LAST_PARTS = (
    "acre beck berg berry bourne bridge brook burn by cliff combe croft dale den field ford gate grave ham "
    "hill holm hurst ing land ley low man mead mere more mont ridge shaw stead sted stock ton wald ward "
    "water way well wick wood worth wright"
).split()


@cache
def word_list(name: str) -> pd.DataFrame:
    """Read one of the lists beside this module.

    >>> word_list("nicknames").head(2).to_dict("records")
    [{'name': 'James', 'nickname': 'Jim'}, {'name': 'James', 'nickname': 'Jimmy'}]
    """
    with (files(__package__) / f"{name}.csv").open("rb") as file:
        return pd.read_csv(file, keep_default_na=False, dtype={"zip_prefix": str, "area_codes": str})


@dataclass(frozen=True)
class _Draw:
    """Random draws of one seed; each topic has a stream of its own."""

    seed: int

    def stream(self, topic: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, topic])

    def names(self, topic: int, words: pd.DataFrame, size: int) -> Strings:
        weights = words["weight"].to_numpy(float)
        return self.stream(topic).choice(words["name"].to_numpy(object), size=size, p=weights / weights.sum())


def _only_where(chosen: Strings, values: Strings) -> Strings:
    """Keep the chosen values; the others are unknown."""
    kept = np.full(len(chosen), None, dtype=object)
    kept[chosen] = values[chosen]
    return kept


def _given_names(draw: _Draw, topic: int, origin: Strings, sex: Strings) -> Strings:
    """Draw a given name for each person by origin and sex; a third of the people take an Anglo name."""
    words = word_list("given_names")
    own = draw.stream(topic).random(len(sex)) < OWN_NAMES_OF_ORIGIN_SHARE
    pool = np.where(own, origin, "anglo")
    names = np.empty(len(sex), dtype=object)
    for number, (kind, of_sex) in enumerate((o, s) for o in ORIGINS for s in "fm"):
        chosen = (pool == kind) & (sex == of_sex)
        listed = words[(words["origin"] == kind) & (words["sex"] == of_sex)]
        names[chosen] = draw.names(topic * 100 + number, listed, int(chosen.sum()))
    return names


def _surnames(draw: _Draw, topic: int, origin: Strings) -> Strings:
    """Draw a surname for each entry by origin; a quarter of the Anglo ones are rare, composed ones."""
    words = word_list("surnames")
    names = np.empty(len(origin), dtype=object)
    for number, kind in enumerate(ORIGINS):
        chosen = origin == kind
        names[chosen] = draw.names(topic * 100 + number, words[words["origin"] == kind], int(chosen.sum()))
    rng = draw.stream(topic)
    composed = (rng.random(len(origin)) < COMPOSED_SURNAME_SHARE) & (origin == "anglo")
    first = rng.choice(np.array(_FIRST_PARTS, dtype=object), size=len(origin))
    last = rng.choice(np.array(_LAST_PARTS, dtype=object), size=len(origin))
    return np.where(composed, first + last, names)


def _households(draw: _Draw, people: int) -> tuple[Strings, Strings, Strings]:
    """Give household number, place in it from 0 and its size for each person."""
    chances = list(HOUSEHOLD_SIZES.values())
    sizes = draw.stream(1).choice(list(HOUSEHOLD_SIZES), size=people, p=chances)
    ends = np.cumsum(sizes)
    last = int(np.searchsorted(ends, people))
    sizes, ends = sizes[: last + 1].copy(), ends[: last + 1]
    sizes[-1] -= ends[-1] - people
    household = np.repeat(np.arange(last + 1), sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return household, np.arange(people) - starts[household], sizes[household]


def _ages(draw: _Draw, role: Strings, head: Strings) -> Strings:
    """Give ages in days: a child is 20 to 42 years younger than the head, and at least 24."""
    rng = draw.stream(2)
    n = len(role)
    single = rng.triangular(24, 44, 90, size=n)
    parent = rng.triangular(46, 58, 82, size=n)
    has_child = np.zeros(n, dtype=bool)
    has_child[head[role == "child"]] = True
    years = np.where(has_child, parent, single)
    of_head = years[head]
    years = np.where(role == "partner", np.clip(of_head + rng.normal(-1.0, 4.0, n), 24, 95), years)
    years = np.where(role == "child", np.maximum(of_head - rng.uniform(20, 42, n), 24), years)
    return (years * 365.25).astype(int)


def _juniors(draw: _Draw, role: Strings, sex: Strings, head: Strings) -> Strings:
    """Tell who is a son named after his father: the first son of some male heads."""
    sons = np.flatnonzero((role == "child") & (sex == "m") & (sex[head] == "m"))
    _, first = np.unique(head[sons], return_index=True)
    chosen = sons[first]
    chosen = chosen[draw.stream(3).random(len(chosen)) < JUNIOR_SHARE]
    is_junior = np.zeros(len(role), dtype=bool)
    is_junior[chosen] = True
    return is_junior


def _without_twice(draw: _Draw, given: Strings, origin: Strings, sex: Strings, household: Strings) -> Strings:
    """Draw again until no two people of a household were given the same name by chance."""
    given = given.copy()
    for turn in range(6):
        again = pd.DataFrame({"h": household, "g": given}).duplicated().to_numpy()
        if not again.any():
            break
        given[again] = _given_names(draw, 60 + turn, origin[again], sex[again])
    return given


def _roles(draw: _Draw, place: Strings) -> Strings:
    rng = draw.stream(4)
    chance = rng.random(len(place))
    role = np.where(place == 1, np.where(chance < PARTNER_SHARE, "partner", "child"), "child")
    role = np.where((place >= 2) & (chance < 0.08), "lodger", role)
    return np.where(place == 0, "head", role)


def _sexes(draw: _Draw, role: Strings, head: Strings) -> Strings:
    rng = draw.stream(5)
    sex = np.where(rng.random(len(role)) < 0.5, "f", "m")
    opposite = np.where(sex[head] == "f", "m", "f")
    return np.where((role == "partner") & (rng.random(len(role)) < 0.96), opposite, sex)


def _origins(draw: _Draw, role: Strings, head: Strings) -> Strings:
    rng = draw.stream(12)
    origin = rng.choice(list(ORIGINS), size=len(role), p=list(ORIGINS.values()))
    shared = (role == "child") | ((role == "partner") & (rng.random(len(role)) < 0.75))
    return np.where(shared, origin[head], origin)


def _family_names(draw: _Draw, role: Strings, sex: Strings, origin: Strings, head: Strings) -> tuple[Strings, Strings]:
    """Give everybody's surname, and the former one of women who married or divorced lately."""
    rng = draw.stream(13)
    n = len(role)
    own = _surnames(draw, 6, origin)
    keeps = (role == "partner") & (rng.random(n) < PARTNER_KEEPS_SURNAME_SHARE)
    keeps |= (role == "lodger") | (role == "head") | (rng.random(n) < 0.03)
    changed = (role == "partner") & ~keeps & (rng.random(n) < MARRIED_LATELY_SHARE)
    changed |= (role == "head") & (rng.random(n) < 0.02)
    former = _only_where(changed & (sex == "f"), _surnames(draw, 7, origin))
    return np.where(keeps, own, own[head]), former


def draw_people(people: int, seed: int) -> pa.Table:
    """Draw everybody: one row per person, ordered by person number.

    >>> draw_people(3, seed=1).num_rows
    3
    """
    draw = _Draw(seed)
    household, place, size = _households(draw, people)
    head = np.arange(people) - place
    role = _roles(draw, place)
    sex = _sexes(draw, role, head)
    origin = _origins(draw, role, head)
    surname, former_surname = _family_names(draw, role, sex, origin, head)
    given = _without_twice(draw, _given_names(draw, 8, origin, sex), origin, sex, household)
    is_junior = _juniors(draw, role, sex, head)
    is_senior = np.zeros(people, dtype=bool)
    is_senior[head[is_junior]] = True
    rng = draw.stream(14)
    middle = _only_where(rng.random(people) < 0.75, _given_names(draw, 9, origin, sex))
    married_on = np.datetime64("2020-01-01") + rng.integers(0, 2300, people).astype("timedelta64[D]")
    columns = {
        "person": pa.array(np.arange(people), pa.int64()),
        "household": pa.array(household, pa.int64()),
        "household_size": pa.array(size, pa.int64()),
        "role": pa.array(role, pa.string()),
        "sex": pa.array(sex, pa.string()),
        "given": pa.array(np.where(is_junior, given[head], given), pa.string()),
        "middle": pa.array(middle, pa.string()),
        "surname": pa.array(np.where(is_junior, surname[head], surname), pa.string()),
        "former_surname": pa.array(former_surname, pa.string()),
        "married_on": pa.array(married_on, pa.date32()),
        "suffix": pa.array(_only_where(is_junior | is_senior, np.where(is_junior, "Jr", "Sr")), pa.string()),
        "born_on": pa.array(
            np.datetime64(OBSERVATION_END) - _ages(draw, role, head).astype("timedelta64[D]"), pa.date32()
        ),
    }
    return pa.table(columns)
