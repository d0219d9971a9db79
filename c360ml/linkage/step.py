"""The pipeline's step: standardized records in, scored pairs and clusters out, the model beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from c360ml import tables
from c360ml.config import Config, Linkage
from c360ml.errors import ConfigError, ModelError, SourceError, TableError
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.append import (
    APPENDED_CLUSTERS,
    APPENDED_LINKS,
    APPENDED_RECORDS,
    Linked,
    append,
    gained_of,
    is_compared,
    linked_pairs,
    linked_records,
    lost_of,
    reaches_all,
)
from c360ml.linkage.constraints import Constraints
from c360ml.linkage.decided_pairs import is_sampled
from c360ml.linkage.model import LinkageModel
from c360ml.linkage.recalibration import Recalibration, match_probabilities
from c360ml.linkage.statistics import STATISTICS
from c360ml.linkage.thresholds import Threshold, chosen_threshold, default_merge_weight
from c360ml.table_changes import changed_keys, code_of, known_inputs, note_inputs, versions_of

MODEL_FILE = "models/linkage.json"


def link(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Train the linkage model on all records, score candidate pairs and cluster them."""
    settings = config.linkage
    model = unfitted_model(lake, settings)
    return link_records(lake, model, settings)


def unfitted_model(lake: Lakehouse, settings: Linkage) -> LinkageModel:
    """Make the model that a project's settings ask for."""
    return LinkageModel(
        threshold=settings.match_probability_threshold,
        max_pairs=settings.max_pairs,
        seed=settings.seed,
        classes=settings.classes,
        constraints=constraints_of(lake, settings),
    )


def constraints_of(lake: Lakehouse, settings: Linkage) -> Constraints:
    """Constraints that the config declares, with the reviewers' decisions if there are any.

    Raises:
        SourceError: the config names a file of decisions that is not there.
    """
    reviewed = lake.folder / settings.reviewed_pairs
    if not reviewed.is_file() and "reviewed_pairs" in settings.model_fields_set:
        raise SourceError(
            "[linkage] reviewed_pairs must name a file of the project",
            got=f"no file {settings.reviewed_pairs}",
            hint="mend c360ml.toml",
        )
    return Constraints(
        duplicate_free_sources=settings.duplicate_free_sources,
        never_link=settings.never_link,
        most_values_per_person=settings.most_values_per_person,
        most_people_per=settings.most_people_per,
        reviewed_pairs=reviewed if reviewed.is_file() else None,
        largest_cluster=settings.largest_cluster,
        widest_cluster=settings.widest_cluster,
        oversize=settings.oversize_clusters,
    )


def link_records(lake: Lakehouse, model: LinkageModel, settings: Linkage | None = None) -> dict[str, Any]:
    """Fit a model to `silver.records`; write clusters, links and the model file.

    Reviewers' decisions on pairs drawn at random recalibrate the model before it clusters; settings may then choose
    its threshold.
    """
    lake.say("blocking and comparing")
    read = versions_of(lake, _READS)
    model.fit(tables.RECORDS.path, con=lake.con)
    if is_sampled(lake.con, model.constraints.reviewed_pairs):
        lake.say("learning from reviewed pairs")
        model.recalibrate(model.constraints.reviewed_pairs)
    chosen = set_threshold(model, settings or Linkage(), model.pair_counts)
    lake.say("clustering")
    clusters = model.cluster_table()
    write_linked(lake, model.pairs_query(), clusters, linked_records(lake.con, model, tables.RECORDS.path))
    lake.write(tables.TERM_STATISTICS, f"from {STATISTICS} order by kind, value")
    summary = {**model.summary(), "recalibration": model.recalibration_.summary()}
    if chosen is not None:
        summary["chosen_threshold"] = asdict(chosen)
    write_model_file(lake, model, summary, settings)
    note_linked(lake, read)
    found = lake.one(f"select count(distinct cluster_id) from {clusters}")
    return {**summary, "clusters": found, "clustering": model.clustering_summary()}


def write_model_file(
    lake: Lakehouse, model: LinkageModel, summary: dict[str, Any], settings: Linkage | None = None
) -> None:
    """Write the model with what its fit told and the settings that it was trained with."""
    lake.write_json(MODEL_FILE, {**model.to_dict(), "fit": {**summary, "settings": _plain(settings)}})


def write_linked(lake: Lakehouse, pairs: str, clusters: str, seen: str) -> None:
    """Write clusters, the scored pairs (a query), and (a query) what was seen of each record: last."""
    lake.write(tables.CLUSTERS, f"select * from {clusters} order by record_id")
    lake.write(tables.LINKS, f"{linked_pairs(pairs, clusters)} order by record_id_l, record_id_r")
    lake.write(tables.LINKED_RECORDS, f"from ({seen}) order by record_id")


_APPENDED = (
    (tables.CLUSTERS, APPENDED_CLUSTERS),
    (tables.LINKS, APPENDED_LINKS),
    (tables.LINKED_RECORDS, APPENDED_RECORDS),
)


def _write_appended(lake: Lakehouse, model: LinkageModel) -> None:
    """Write what appending changed, or all of it; what was seen of the records last."""
    if reaches_all(model):
        for table, appended in _APPENDED:
            lake.write(table, f"from {appended} order by {', '.join(table.key)}")
        return
    for table, appended in _APPENDED:
        lost, gained = (lake.one(f"select count(*) from {name(appended)}") for name in (lost_of, gained_of))
        if lost or gained:
            lake.amend(table, f"from {gained_of(appended)}", lost=lost_of(appended) if lost else None)
            lake.say(f"{table.name}: {gained:,} rows added, {lost:,} taken out")


_READS = (tables.RECORDS,)
_WRITES = (tables.LINKS, tables.CLUSTERS, tables.LINKED_RECORDS, tables.TERM_STATISTICS)


def note_linked(lake: Lakehouse, read: dict[str, int]) -> None:
    """Note of which records the tables tell, when all of them are written."""
    note_inputs(lake, tables.LINK_INPUTS, rules=code_of(__file__), read=read, wrote=_WRITES)


def _changed_records(lake: Lakehouse) -> str | None:
    """SQL of the records that may be new, other or gone since they were linked; None if any may."""
    versions = known_inputs(lake, tables.LINK_INPUTS, rules=code_of(__file__), read=_READS, wrote=_WRITES)
    if versions is None:
        return None
    compared = filter(is_compared, tables.RECORDS.columns)
    return changed_keys(lake, tables.RECORDS, versions[tables.RECORDS.path], compared)


def _plain(settings: Linkage | None) -> dict[str, Any]:
    return (settings or Linkage()).model_dump(mode="json")


def append_links(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Link new, changed and vanished records with the model as it is, see `append`.

    Raises:
        ConfigError: the settings are not those that the model was trained with.
        ModelError: the project has no model that records can be appended with.
    """
    content = lake.read_json(MODEL_FILE)
    if content is None or "settings" not in content.get("fit", {}):
        raise ModelError(f"records must be appended with {MODEL_FILE}", got="no such model", hint="run `c360ml run`")
    if content["fit"]["settings"] != _plain(config.linkage):
        raise ConfigError("[linkage] must be as the model was trained", got="other settings", hint="run `c360ml run`")
    model = LinkageModel.from_dict(content)
    model.constraints = constraints_of(lake, config.linkage)
    for table in (tables.LINKED_RECORDS, tables.LINKS, tables.CLUSTERS, tables.TERM_STATISTICS):
        lake.open(table)
    lake.say("comparing what is new")
    linked = Linked(tables.LINKED_RECORDS.path, tables.LINKS.path, tables.CLUSTERS.path, tables.TERM_STATISTICS.path)
    read = versions_of(lake, _READS)
    appended = append(lake.con, model, tables.RECORDS.path, linked, _changed_records(lake))
    _write_appended(lake, model)
    note_linked(lake, read)
    clusters, links, records = lake.rows(f"""
        select (select count(distinct cluster_id) from {tables.CLUSTERS.path}),
               (select count(*) from {tables.LINKS.path} where match_probability >= {model.threshold or 0.5}),
               (select count(*) from {tables.CLUSTERS.path})
    """)[0]
    counts = {"records": records, "links": links, "clusters": clusters, "appended": asdict(appended)}
    return {name: value for name, value in content["fit"].items() if name != "settings"} | counts


def set_threshold(model: LinkageModel, settings: Linkage, pair_counts: Callable[[], Any]) -> Threshold | None:
    """Give the model the threshold that the settings ask for, if they do; for clusters it is the mean over pairs."""
    if settings.target_precision is None and settings.false_merge_cost is None:
        return None
    chosen = chosen_threshold(pair_counts(), settings, least=_probability(model.merge_weight_))
    if chosen is not None:
        model.threshold = chosen.probability
    return chosen


def default_threshold(lake: Lakehouse) -> float:
    """Probability of the cut at which the project's newest model merges clusters if no setting asks for another.

    Raises:
        TableError: the project was never run.
    """
    content = lake.read_json(MODEL_FILE)
    if content is None or "recalibration" not in content:
        raise TableError(f"{MODEL_FILE} must be of this version", got="none", hint="run `c360ml run`")
    return _probability(default_merge_weight(Recalibration.from_dict(content["recalibration"])))


def _probability(weight: float) -> float:
    return float(match_probabilities(np.array(weight)))
