"""The pipeline's step: standardized records in, scored pairs and clusters out, the model beside them."""

from __future__ import annotations

from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.model import LinkageModel

MODEL_FILE = "models/linkage.json"


def link(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Train the linkage model on all records, score candidate pairs and cluster them."""
    settings = config.linkage
    model = LinkageModel(
        threshold=settings.match_probability_threshold, max_pairs=settings.max_pairs, seed=settings.seed
    )
    return link_records(lake, model)


def link_records(lake: Lakehouse, model: LinkageModel) -> dict[str, Any]:
    """Fit a model to `silver.records`; write clusters, links and the model file."""
    lake.say("blocking and comparing")
    model.fit(tables.RECORDS.path, con=lake.con)
    lake.say("clustering")
    clusters = model.cluster_table()
    lake.write(tables.CLUSTERS, f"select * from {clusters} order by record_id")
    lake.write(
        tables.LINKS,
        f"""
        select pairs.*, l.cluster_id = r.cluster_id as is_link
        from ({model.pairs_query()}) pairs
        join {clusters} l on l.record_id = record_id_l join {clusters} r on r.record_id = record_id_r
        order by record_id_l, record_id_r
        """,
    )
    summary = model.summary()
    lake.write_json(MODEL_FILE, {**model.to_dict(), "fit": summary})
    return {**summary, "clusters": lake.one(f"select count(distinct cluster_id) from {clusters}")}
