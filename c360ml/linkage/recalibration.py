"""What reviewers decided turns match weights into odds that mean what they say: a monotone recalibration.

    identity   the weight as it is: without enough decisions, or where nothing predicts them better
    platt      weight' = intercept + slope x weight, slope > 0 (Platt 1999), drawn weakly towards the identity
    isotonic   a rising curve of any form (Zadrozny and Elkan 2002), from a thousand decisions on

The form with the least cross-validated log loss is taken, if it beats the identity by more than the standard error
of the difference, so that a recalibration is never worse than none on decisions that it was not fitted to. Each form
keeps the order of pairs.

Reviewed pairs are no random sample: reviewers are asked about pairs because something speaks against what their
weight says, which no correction by weight undoes. A recalibration learns from those that were drawn at random within
strata, ranges of match weights. Each weighs as many scored pairs as it stands for: those of its stratum, divided by
the decisions in it (Horvitz and Thompson 1952), within limits so that no single decision rules the fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize

from c360ml.errors import DataError, ModelError, NotFittedError

if TYPE_CHECKING:
    from c360ml.linkage.latent_classes import LatentClasses

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Curve = dict[str, list[float]]
"""Recalibrated weights `to` at match weights `at`, both rising; straight lines between and, by `ends`, beyond."""

IDENTITY: Curve = {"at": [0.0], "to": [0.0], "ends": [1.0, 1.0]}
LEAST_DECISIONS = 20
LEAST_FOR_ISOTONIC = 1000
_FOLDS = 5
# One wrong decision on a pair of certain weight would otherwise outweigh all others.
_LARGEST_WEIGHT = 15.0
# Standard deviations of the prior: an intercept of three bits, a slope between about a half and two.
_INTERCEPT_PRIOR = 3.0
_LOG_SLOPE_PRIOR = 0.7
_LARGEST_IMPORTANCE = 10.0
_LEAST_RISE = 1e-3


class Recalibration:
    """A rising curve from match weights to recalibrated match weights, learnt from decided pairs.

    After `fit`: `form_` (identity, platt or isotonic), `decisions_` (how many it learnt from), `log_loss_` (bits a
    decision, cross-validated, by form), `curve_`.

    >>> weights = np.tile(np.arange(-8.0, 9.0), 60)  # twice as sure of themselves as they should be
    >>> truly = np.random.default_rng(1).random(len(weights)) < match_probabilities(weights / 2)
    >>> learnt = Recalibration().fit(weights, truly)
    >>> learnt.form_, learnt.transform(np.array([-8.0, 0.0, 8.0])).round(1).tolist()
    ('platt', [-4.2, -0.0, 4.1])
    """

    def fit(self, weights: Floats, is_match: NDArray[np.bool_], importance: Floats | None = None) -> Recalibration:
        """Learn from decided pairs.

        Args:
            weights: match weights (log2 odds) of the pairs, as the classes give them.
            is_match: the decision on each pair.
            importance: number of pairs that each decision stands for; without it all alike. Only ratios count.

        Raises:
            DataError: the arrays differ in length, or hold a value that is no number.
        """
        weights, matches, importance = _checked(weights, is_match, importance)
        order = np.lexsort((importance, matches, weights))
        weights, matches, importance = weights[order], matches[order], importance[order]
        forms = [_fit_identity]
        if len(weights) >= LEAST_DECISIONS:
            forms.append(_fit_platt)
        if len(weights) > LEAST_FOR_ISOTONIC:
            forms.append(_fit_isotonic)
        lost = {form: _cross_validated(form, weights, matches, importance) for form in forms}
        losses = {form: _weighted_mean(each, importance) for form, each in lost.items()}
        best = min(forms, key=lambda form: losses[form])
        if losses[_fit_identity] - losses[best] <= _standard_error(lost[_fit_identity] - lost[best], importance):
            best = _fit_identity
        self.form_ = _NAMES[best]
        self.decisions_ = len(weights)
        self.log_loss_ = {_NAMES[form]: round(loss, 9) for form, loss in losses.items()}
        self.curve_: Curve = best(weights, matches, importance)
        return self

    @classmethod
    def identity(cls) -> Recalibration:
        """Make the recalibration that changes nothing.

        >>> Recalibration.identity().transform(np.array([-3.0, 70.0])).tolist()
        [-3.0, 70.0]
        """
        nothing = np.zeros(0)
        return cls().fit(nothing, nothing.astype(bool))

    def transform(self, weights: Floats) -> Floats:
        """Recalibrate match weights (log2 odds).

        Raises:
            NotFittedError: before `fit`.
        """
        if not hasattr(self, "curve_"):
            raise NotFittedError("Recalibration")
        if self.form_ == "identity":
            return np.asarray(weights, dtype=np.float64)
        return _evaluate(self.curve_, np.asarray(weights, dtype=np.float64))

    def summary(self) -> dict[str, Any]:
        """Say what was learnt, without the curve."""
        return {name: part for name, part in self.to_dict().items() if name != "curve"}

    def to_dict(self) -> dict[str, Any]:
        """Learnt values as plain JSON.

        Raises:
            NotFittedError: before `fit`.
        """
        if not hasattr(self, "curve_"):
            raise NotFittedError("Recalibration")
        return {
            "form": self.form_,
            "decisions": self.decisions_,
            "log_loss": dict(self.log_loss_),
            "curve": {name: list(values) for name, values in self.curve_.items()},
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Recalibration:
        """Rebuild from `to_dict`.

        Raises:
            ModelError: a part is missing, or the curve does not rise.
        """
        recalibration = cls()
        try:
            curve = {name: [float(value) for value in content["curve"][name]] for name in ("at", "to", "ends")}
            rising = all((np.diff(curve[name]) > 0).all() for name in ("at", "to")) and min(curve["ends"]) > 0
            numbers = (
                np.isfinite(np.concatenate(list(curve.values()))).all() and len(curve["at"]) == len(curve["to"]) > 0
            )
            sound = rising and numbers and content["form"] in _NAMES.values()
            recalibration.curve_, recalibration.form_ = curve, str(content["form"])
            recalibration.decisions_ = int(content["decisions"])
            recalibration.log_loss_ = {str(form): float(loss) for form, loss in content["log_loss"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                "a recalibration must hold a form and a rising curve",
                got=repr(error),
                hint="recalibrate again with this version",
            ) from error
        if not sound:
            raise ModelError(
                "a recalibration must hold a form and a rising curve",
                got="another form, or a curve that does not rise",
                hint="recalibrate again with this version",
            )
        return recalibration


@dataclass(frozen=True)
class RecalibratedClasses:
    """Latent classes whose odds of one person went through a recalibration; the one place where pairs are weighed.

    The other classes keep their shares of what the person class leaves.
    """

    classes: LatentClasses
    recalibration: Recalibration

    @property
    def class_names(self) -> tuple[str, ...]:
        """Kinds of pairs, one person first."""
        return self.classes.class_names

    def match_weights(self, digits: Ints, near: NDArray[np.bool_] | None = None) -> Floats:
        """log2 odds of one person against every other kind of pair, for each agreement pattern.

        Args:
            digits: one row per pattern.
            near: which patterns are of pairs that share a linked neighbour; without it none.
        """
        return self.recalibration.transform(self.classes.match_weights(digits, near))

    def class_probabilities(self, digits: Ints, near: NDArray[np.bool_] | None = None) -> Floats:
        """Probability of each class for each pattern: shape (patterns, classes), rows sum to one."""
        shares = self.classes.class_probabilities(digits, near)
        if self.recalibration.form_ == "identity":
            return shares
        person = match_probabilities(self.match_weights(digits, near))
        others = shares[:, 1:].sum(axis=1)
        rest = np.divide(1 - person, others, out=np.zeros_like(person), where=others > 0)
        return np.column_stack([person, shares[:, 1:] * rest[:, None]])


def match_probabilities(weights: Floats) -> Floats:
    """Turn log2 odds into probabilities.

    >>> match_probabilities(np.array([0.0, 2.0])).tolist()
    [0.5, 0.8]
    """
    probabilities: Floats = 1 / (1 + np.exp2(-np.clip(weights, -1000, 1000)))
    return probabilities


def importance_of_strata(pairs: Floats, decisions: Floats) -> Floats:
    """How many pairs a decision of each stratum stands for, in units of the mean decision, within limits.

    >>> importance_of_strata(np.array([900.0, 100.0]), np.array([10.0, 10.0])).tolist()
    [1.8, 0.2]
    """
    each = pairs / np.maximum(decisions, 1.0)
    mean = (each * decisions).sum() / max(decisions.sum(), 1.0)
    limited: Floats = np.clip(each / max(mean, 1e-300), 1 / _LARGEST_IMPORTANCE, _LARGEST_IMPORTANCE)
    return limited


def _fit_identity(weights: Floats, matches: Floats, importance: Floats) -> Curve:
    return {name: list(values) for name, values in IDENTITY.items()}


def _fit_platt(weights: Floats, matches: Floats, importance: Floats) -> Curve:
    """Most probable intercept and slope, in log2 odds; the slope is positive as the exponent of what is fitted."""
    clipped = np.clip(weights, -_LARGEST_WEIGHT, _LARGEST_WEIGHT)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        intercept, slope = parameters[0], np.exp(parameters[1])
        recalibrated = intercept + slope * clipped
        error = importance * (match_probabilities(recalibrated) - matches) * np.log(2)
        value = (importance * _surprise(recalibrated, matches)).sum() * np.log(2)
        value += 0.5 * (intercept / _INTERCEPT_PRIOR) ** 2 + 0.5 * (parameters[1] / _LOG_SLOPE_PRIOR) ** 2
        gradient = [
            error.sum() + intercept / _INTERCEPT_PRIOR**2,
            (error * slope * clipped).sum() + parameters[1] / _LOG_SLOPE_PRIOR**2,
        ]
        return float(value), np.array(gradient)

    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-20, 20), (-4, 4)]).x
    intercept, slope = float(found[0]), float(np.exp(found[1]))
    return {"at": [0.0], "to": [intercept], "ends": [slope, slope]}


def _fit_isotonic(weights: Floats, matches: Floats, importance: Floats) -> Curve:
    """Blocks of pooled weights: smoothed log2 odds, all but level, from the least to the greatest of a block."""
    clipped = np.clip(weights, -_LARGEST_WEIGHT, _LARGEST_WEIGHT)
    found = isotonic_regression(matches, weights=importance)
    starts, stops = found.blocks[:-1], found.blocks[1:]
    pairs = np.add.reduceat(importance, starts)
    share = (np.add.reduceat(importance * matches, starts) + 0.5) / (pairs + 1)
    at = np.column_stack([clipped[starts], clipped[stops - 1]]).ravel()
    to = np.maximum.accumulate(np.repeat(np.log2(share / (1 - share)), 2))
    apart = np.append(True, np.diff(at) > 0)
    at, to = at[apart], to[apart]
    return {"at": at.tolist(), "to": (to + _LEAST_RISE * np.arange(len(to))).tolist(), "ends": [1.0, 1.0]}


_NAMES = {_fit_identity: "identity", _fit_platt: "platt", _fit_isotonic: "isotonic"}


def _evaluate(curve: Curve, weights: Floats) -> Floats:
    at, to = np.array(curve["at"]), np.array(curve["to"])
    inside = np.interp(weights, at, to)
    below, above = np.minimum(weights - at[0], 0.0), np.maximum(weights - at[-1], 0.0)
    recalibrated: Floats = inside + curve["ends"][0] * below + curve["ends"][1] * above
    return recalibrated


def _cross_validated(form: Any, weights: Floats, matches: Floats, importance: Floats) -> Floats:
    """Bits of surprise at each decision by a form that was not fitted to it; folds take turns along the weights."""
    fold = np.arange(len(weights)) % _FOLDS
    lost = np.zeros(len(weights))
    for held_out in range(_FOLDS):
        test, train = fold == held_out, fold != held_out
        curve = form(weights[train], matches[train], importance[train])
        clipped = np.clip(weights[test], -_LARGEST_WEIGHT, _LARGEST_WEIGHT)
        lost[test] = _surprise(_evaluate(curve, clipped), matches[test])
    return lost


def _weighted_mean(values: Floats, importance: Floats) -> float:
    return float((importance * values).sum() / importance.sum()) if len(values) else 0.0


def _standard_error(values: Floats, importance: Floats) -> float:
    """Standard error of a weighted mean."""
    apart = importance * (values - _weighted_mean(values, importance))
    return float(np.sqrt((apart**2).sum()) / importance.sum()) if len(values) else 0.0


def _surprise(weights: Floats, matches: Floats) -> Floats:
    """Log loss in bits of log2 odds."""
    lost: Floats = np.logaddexp2(0.0, np.where(matches > 0, -weights, weights))
    return lost


def _checked(weights: Floats, is_match: NDArray[np.bool_], importance: Floats | None) -> tuple[Floats, Floats, Floats]:
    weights, matches = np.asarray(weights, dtype=np.float64), np.asarray(is_match).astype(np.float64)
    importance = np.ones(len(weights)) if importance is None else np.asarray(importance, dtype=np.float64)
    if not len(weights) == len(matches) == len(importance):
        raise DataError(
            "weights, decisions and importance must be of one length",
            got=f"{len(weights)}, {len(matches)} and {len(importance)}",
            hint="give one of each per pair",
        )
    good = np.isfinite(weights) & np.isin(matches, (0.0, 1.0)) & np.isfinite(importance) & (importance > 0)
    if not good.all():
        raise DataError(
            "weights must be numbers, decisions true or false, importance above 0",
            got=f"{int((~good).sum())} pairs where they are not",
            hint="leave those pairs out",
        )
    if len(weights):
        importance = importance / importance.mean()
    return weights, matches, importance
