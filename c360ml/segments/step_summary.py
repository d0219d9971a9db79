"""What the step tells of its work: sizes, what was learned and when, how the mix has drifted since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c360ml.segments.actions import ACTION_SEGMENTS
from c360ml.segments.behaviour import BEHAVIOURS
from c360ml.segments.buyers import FEATURES
from c360ml.segments.kmeans import LEAST_CUSTOMERS
from c360ml.segments.movement import SHIFTED, stability_index, tell_movement
from c360ml.segments.rfm_map import RFM_SEGMENTS
from c360ml.segments.value_tiers import VALUE_TIERS

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse
    from c360ml.segments.kept_models import BuyerModels
    from c360ml.segments.value_tiers import ValueTiers


def summarize(
    lake: Lakehouse, buyers: int, models: BuyerModels | None, tiers: ValueTiers, cuts: dict[str, Any]
) -> dict[str, Any]:
    """Sum up the written segments and the models behind them."""
    kmeans_names = (*(models.kmeans.names_ if models else ()), "PROSPECT")
    rfm, kmeans = _tell_rfm(lake, models), _tell_kmeans(lake, models)
    return {
        "customers": int(lake.one("select count(*) from gold.customer_segments")),
        "buyers": buyers,
        "value_tiers": _count(lake, "value_tier", VALUE_TIERS),
        "rfm_segments": _count(lake, "rfm_segment", (*RFM_SEGMENTS, "PROSPECT")),
        "kmeans_segments": _count(lake, "kmeans_segment", kmeans_names),
        "behaviour_segments": _count(lake, "behaviour_segment", BEHAVIOURS),
        "action_segments": _count(lake, "action_segment", ACTION_SEGMENTS),
        "value_tier_cut_points": tiers.cut_points_,
        "action_cut_points": cuts,
        "rfm": rfm,
        "kmeans": kmeans,
        "runs": int(lake.one("select coalesce(max(run), 0) from gold.segment_trends")),
        "movement": tell_movement(lake),
        "notes": _notes(buyers, rfm, kmeans),
    }


def _count(lake: Lakehouse, column: str, names: tuple[str, ...]) -> dict[str, int]:
    counted = dict(lake.rows(f"select {column}, count(*) from gold.customer_segments group by all"))
    return {name: int(counted.get(name, 0)) for name in names}


def _tell_rfm(lake: Lakehouse, models: BuyerModels | None) -> dict[str, Any] | None:
    if models is None:
        return None
    rfm = models.rfm
    bands = range(1, rfm.bands + 1)
    scores = lake.rows(
        "select rfm_score, count(*) from gold.customer_segments where rfm_score is not null group by all"
    )
    sizes = {
        name: [sum(int(customers) for score, customers in scores if score[place] == str(band)) for band in bands]
        for place, name in enumerate(FEATURES)
    }
    return {
        "learned_on": models.rfm_learned_on,
        "cut_points": rfm.cut_points_,
        "band_sizes": sizes,
        "empty_bands": {name: [band for band, size in enumerate(of, 1) if not size] for name, of in sizes.items()},
        "psi_since_learned": {name: stability_index(rfm.band_sizes_[name], sizes[name]) for name in FEATURES},
    }


def _tell_kmeans(lake: Lakehouse, models: BuyerModels | None) -> dict[str, Any] | None:
    if models is None:
        return None
    kmeans = models.kmeans
    chosen: dict[str, Any] = next((tried for tried in kmeans.diagnostics_ if tried["k"] == kmeans.k_), {})
    measures = ("silhouette", "gap", "ari_mean", "ari_least", "smallest_share")
    today = _count(lake, "kmeans_segment", tuple(kmeans.names_))
    fitted = [profile["share"] * kmeans.customers_ for profile in kmeans.profiles_]
    return {
        "learned_on": models.kmeans_learned_on,
        "k": kmeans.k_,
        "is_stable": kmeans.is_stable_,
        **{name: chosen.get(name) for name in measures},
        "psi_since_learned": stability_index(fitted, list(today.values())),
        "refit": kmeans.change_,
        "profiles": kmeans.profiles_,
        "diagnostics": kmeans.diagnostics_,
    }


def _notes(buyers: int, rfm: dict[str, Any] | None, kmeans: dict[str, Any] | None) -> list[str]:
    if not buyers or rfm is None or kmeans is None:
        return ["no customer has a purchase: no RFM scores and no clusters"]
    notes = []
    if kmeans["k"] == 1 and buyers < LEAST_CUSTOMERS:
        notes.append(f"fewer than {LEAST_CUSTOMERS} customers with a purchase: one cluster holds them all")
    if not kmeans["is_stable"]:
        notes.append("no number of clusters is stable and tighter than chance: the most repeatable one was taken")
    drifts = {**rfm["psi_since_learned"], "clusters": kmeans["psi_since_learned"]}
    notes += [
        f"{name} shifted since {kmeans['learned_on'] if name == 'clusters' else rfm['learned_on']}, when segments were"
        f" learned (stability index {psi:.2f}): set segments.refit = true to learn them anew"
        for name, psi in drifts.items()
        if psi >= SHIFTED
    ]
    return notes
