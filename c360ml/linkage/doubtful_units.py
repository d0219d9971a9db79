"""Which records are in doubt, and as which units: what draws of partitions are made from.

Records that the clustering put together with a mean match weight of `SURE_WEIGHT` or more (probability 0.95) move as
one unit. Two units are as strong as their pairs are on average, as in the clustering, so that three records of one
person do not count as three witnesses; a pair that was never scored counts as there. Units joined by pairs of a
probability above 0.05, directly or through others, are one component; a unit without any is not in doubt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from c360ml.linkage.clusters import WEIGHT_OF_UNSCORED_PAIR, average_linkage, clipped, components
from c360ml.linkage.merge_rules import MergeRule
from c360ml.linkage.partition_sampler import ENUMERATED, draw_large, draw_small

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SURE_WEIGHT = float(np.log2(0.95 / 0.05))
LARGEST_COMPONENT = 60
"""Units above which a component is cut at even odds: what is less likely than not is then taken for certain."""
_CELLS_AT_ONCE = 400_000


@dataclass(frozen=True)
class DoubtfulUnits:
    """Units of records and what joins them; units and components are named by their least record.

    `unit` has the unit of each record; `members` the units in doubt, by component; `component` theirs. `near` has the
    pairs of units that may be one person, of components before large ones are cut.
    """

    unit: Ints
    members: Ints
    component: Ints
    left: Ints
    right: Ints
    weights: Floats
    near: Ints

    @classmethod
    def of(
        cls, records: int, left: Ints, right: Ints, weights: Floats, together: NDArray[np.bool_], joined: Ints
    ) -> DoubtfulUnits:
        """Find the units and components of records 0..n-1.

        Args:
            records: number of records.
            left: lesser record of each scored pair.
            right: greater record.
            weights: log2 odds of each pair.
            together: whether the clustering put both into one cluster.
            joined: per record the least of those that a reviewer joined it with.

        >>> pairs = np.array([0, 1]), np.array([1, 2]), np.array([9.0, 1.0]), np.array([True, False])
        >>> found = DoubtfulUnits.of(4, *pairs, np.arange(4))
        >>> found.unit.tolist(), found.members.tolist(), found.weights.tolist()
        ([0, 0, 2, 3], [0, 2], [-3.5])
        """
        sure = average_linkage(
            records, left[together], right[together], weights[together], threshold=SURE_WEIGHT, joined=joined
        )
        unit = sure.labels(records)
        one, other, means = _between_units(unit, left, right, weights)
        linked = means > -SURE_WEIGHT
        component = components(records, one[linked], other[linked])
        component = _cut_large(unit, component, one, other, means)
        leads = np.nonzero(unit == np.arange(records))[0]
        sizes = np.bincount(component[leads], minlength=component.max() + 1)
        members = leads[sizes[component[leads]] > 1]
        members = members[np.argsort(component[members], kind="stable")]
        inside = (component[one] == component[other]) & (sizes[component[one]] > 1)
        near = np.stack([one[linked], other[linked]])
        return cls(unit, members, component[members], one[inside], other[inside], means[inside], near)

    def without(self, standing: Ints) -> DoubtfulUnits:
        """Leave components out.

        Args:
            standing: their names.
        """
        stays = ~np.isin(self.component, standing)
        named = np.full(len(self.unit), -1)
        named[self.members] = self.component
        inside = ~np.isin(named[self.left], standing)
        return replace(
            self,
            members=self.members[stays],
            component=self.component[stays],
            left=self.left[inside],
            right=self.right[inside],
            weights=self.weights[inside],
        )

    def draw(self, draws: int, rules: Sequence[MergeRule], seed: int) -> Ints:
        """Draw partitions of all components.

        Args:
            draws: how many.
            rules: what may not be together, numbered by record; they follow the units and are used up.
            seed: of the random numbers.

        Returns:
            Draw x unit in doubt: the least unit of its part.
        """
        random = np.random.default_rng([seed, len(self.members)])
        answer = np.empty((draws, len(self.members)), dtype=np.int64)
        moved = np.nonzero(self.unit != np.arange(len(self.unit)))[0]
        for rule in rules:
            rule.merge(self.unit[moved], moved)
        for places, dense in self._dense():
            self._forbid(places, dense, rules)
            sampler = draw_small if places.shape[1] <= ENUMERATED else draw_large
            drawn = sampler(dense, draws, random)
            led = np.take_along_axis(places[:, None, :].repeat(draws, axis=1), drawn, axis=2)
            real = np.broadcast_to(places[:, None, :] >= 0, led.shape)[:, 0, :]
            answer[:, places[real]] = self.members[led].transpose(1, 0, 2)[:, real]
        return answer

    def _dense(self) -> Iterator[tuple[Ints, Floats]]:
        """Components of like size at a time: places of their units, and the weights between these.

        Places of -1 fill up smaller components; they go with nobody.
        """
        first = np.nonzero(np.diff(self.component, prepend=-1))[0]
        sizes = np.diff(np.append(first, len(self.component)))
        place = np.full(len(self.unit), -1)
        place[self.members] = np.arange(len(self.members))
        one, other = place[self.left], place[self.right]
        number = np.repeat(np.arange(len(first)), sizes)
        room = _room(sizes)
        for size in np.unique(room).tolist():
            of_size = np.nonzero(room == size)[0]
            step = max(1, _CELLS_AT_ONCE // (size * size))
            for at in range(0, len(of_size), step):
                chosen = of_size[at : at + step]
                rank = np.full(len(first), -1)
                rank[chosen] = np.arange(len(chosen))
                dense = np.full((len(chosen), size, size), WEIGHT_OF_UNSCORED_PAIR)
                here = rank[number[one]] >= 0
                which = number[one[here]]
                i, j = one[here] - first[which], other[here] - first[which]
                dense[rank[which], i, j] = dense[rank[which], j, i] = self.weights[here]
                inside = np.arange(size)[None, :] < sizes[chosen][:, None]
                dense[~(inside[:, :, None] & inside[:, None, :])] = -np.inf
                yield np.where(inside, first[chosen][:, None] + np.arange(size)[None, :], -1), dense

    def _forbid(self, places: Ints, dense: Floats, rules: Sequence[MergeRule]) -> None:
        """Make pairs of units that a rule keeps apart impossible."""
        left, right = np.triu_indices(places.shape[1], 1)
        one, other = self.members[places[:, left]], self.members[places[:, right]]
        for rule in rules:
            # A place of -1 is any unit: what is impossible already stays so.
            apart = ~rule.allows(one.ravel(), other.ravel()).reshape(one.shape)
            component, pair = np.nonzero(apart)
            dense[component, left[pair], right[pair]] = dense[component, right[pair], left[pair]] = -np.inf


def _between_units(unit: Ints, left: Ints, right: Ints, weights: Floats) -> tuple[Ints, Ints, Floats]:
    """Mean weight of the pairs between two units, those never scored included."""
    records = len(unit)
    sizes = np.bincount(unit, minlength=records)
    one, other = np.minimum(unit[left], unit[right]), np.maximum(unit[left], unit[right])
    apart = one != other
    keys, number = np.unique(one[apart] * records + other[apart], return_inverse=True)
    excess = np.bincount(number, clipped(weights[apart]) - WEIGHT_OF_UNSCORED_PAIR, minlength=len(keys))
    one, other = keys // records, keys % records
    return one, other, excess / (sizes[one] * sizes[other]) + WEIGHT_OF_UNSCORED_PAIR


def _cut_large(unit: Ints, component: Ints, one: Ints, other: Ints, means: Floats) -> Ints:
    """Cut components of too many units at even odds."""
    leads = np.nonzero(unit == np.arange(len(unit)))[0]
    sizes = np.bincount(component[leads], minlength=component.max() + 1)
    large = sizes[component[one]] > LARGEST_COMPONENT
    if not large.any():
        return component
    kept = (means > -SURE_WEIGHT) & (~large | (means > 0))
    return components(len(component), one[kept], other[kept])


def _room(sizes: Ints) -> Ints:
    """Size up to which a component is filled: its own as long as partitions are listed, then steps of a quarter."""
    steps = [ENUMERATED]
    while steps[-1] < sizes.max(initial=0):
        steps.append(steps[-1] * 5 // 4 + 1)
    grown = np.array(steps)[np.searchsorted(steps, sizes)]
    return np.where(sizes <= ENUMERATED, sizes, grown)
