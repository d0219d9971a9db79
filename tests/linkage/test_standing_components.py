"""Components that are said to stand are, unit by unit and pair by pair, what they were."""

from itertools import combinations

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from c360ml.linkage import doubtful_units, standing_components
from c360ml.linkage.clusters import average_linkage
from c360ml.linkage.doubtful_units import SURE_WEIGHT, DoubtfulUnits
from c360ml.linkage.standing_components import ChangedPairs

RECORDS = 14
WEIGHTS = st.sampled_from([-5.5, -3.0, -1.0, 2.0, 5.0, 9.0])
PAIRS = st.dictionaries(st.sampled_from(list(combinations(range(RECORDS), 2))), WEIGHTS, min_size=4, max_size=24)


def described(pairs):
    """Arguments of `DoubtfulUnits.of`: the pairs, clustered as the linkage does."""
    left, right = (np.array([pair[side] for pair in sorted(pairs)], dtype=np.int64) for side in (0, 1))
    weights = np.array([pairs[pair] for pair in sorted(pairs)], dtype=np.float64)
    cluster = average_linkage(RECORDS, left, right, weights, threshold=0.0).labels(RECORDS)
    return left, right, weights, cluster[left] == cluster[right], np.arange(RECORDS)


def parts(doubtful):
    """Each component by its name: its units with their records, and the weights between them."""
    found = {}
    for name in np.unique(doubtful.component).tolist():
        members = doubtful.members[doubtful.component == name].tolist()
        units = tuple((unit, tuple(np.flatnonzero(doubtful.unit == unit).tolist())) for unit in sorted(members))
        between = zip(doubtful.left.tolist(), doubtful.right.tolist(), doubtful.weights.tolist(), strict=True)
        found[name] = (units, tuple(sorted(each for each in between if each[0] in members)))
    return found


def changes(before, now, gone):
    """What changed, as `standing_components` wants it: per record, and of pairs between clusters."""
    of_both = [dict(zip(sorted(pairs), described(pairs)[3].tolist(), strict=True)) for pairs in (before, now)]
    changed, apart = np.zeros(RECORDS, dtype=bool), []
    changed[gone] = True
    for pair in sorted(before.keys() | now.keys()):
        was, is_ = ((pairs.get(pair), flags.get(pair)) for pairs, flags in zip((before, now), of_both, strict=True))
        if was == is_:
            continue
        if was[1] or is_[1]:
            changed[list(pair)] = True
        else:
            near = max(weight for weight, _ in (was, is_) if weight is not None) > -SURE_WEIGHT
            apart.append((*(-1 if record in gone else record for record in pair), near))
    columns = [np.array([row[place] for row in apart], dtype=kind) for place, kind in enumerate((int, int, bool))]
    return changed, ChangedPairs(*columns)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(
    before={(0, 2): 2.0, (0, 6): -3.0, (0, 1): -5.5, (0, 3): -3.0},
    other={(0, 1): -5.5, (3, 4): -3.0, (0, 2): -5.5, (0, 3): -5.5, (11, 13): -5.5, (12, 13): -5.5},
    kept=4,
    gone=[],
)
@given(before=PAIRS, other=PAIRS, kept=st.integers(2, 6), gone=st.lists(st.integers(0, RECORDS - 1), max_size=1))
def test_what_stands_is_as_it_was(monkeypatch, before, other, kept, gone):
    """Whatever pairs come, go or change, however large components are cut, no changed component is said to stand."""
    for module in (doubtful_units, standing_components):
        monkeypatch.setattr(module, "LARGEST_COMPONENT", kept)
    now = {**before, **dict(list(other.items())[: len(other) // 3])}
    for pair in list(other)[-2:]:
        now.pop(pair, None)
    now = {pair: weight for pair, weight in now.items() if not set(pair) & set(gone)}
    changed, pairs = changes(before, now, gone)
    given_now = described(now)
    earlier, doubtful = DoubtfulUnits.of(RECORDS, *described(before)), DoubtfulUnits.of(RECORDS, *given_now)

    names = standing_components.standing_components(doubtful, *given_now, changed=changed, pairs=pairs).tolist()

    found, was = parts(doubtful), parts(earlier)
    assert {found[name] for name in names} <= set(was.values())
    drawn = parts(doubtful.without(np.array(names, dtype=np.int64)))
    assert {name: part for name, part in found.items() if name not in names} == drawn


def test_far_from_a_change_all_components_stand():
    """A new pair wakes its own component, and no other."""
    before = {(0, 1): 2.0, (3, 4): 2.0, (6, 7): -1.0}
    now = {**before, (1, 2): 2.0}
    changed, pairs = changes(before, now, [])
    doubtful = DoubtfulUnits.of(RECORDS, *described(now))
    standing = standing_components.standing_components(doubtful, *described(now), changed=changed, pairs=pairs)
    stood = doubtful.members[np.isin(doubtful.component, standing)]
    assert [3, 4, 6, 7] == stood.tolist()
