"""One pipeline run into MLflow: a parent run, and a child each for linkage, value, segments and campaigns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml.tracking import charts, measures
from c360ml.tracking.measures import Logged
from c360ml.tracking.registry import LoggedModel, register, run_f1
from c360ml.tracking.store import ensure_experiment, tracking_store

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse
    from c360ml.pipeline import RunResult

LINKAGE_MODEL = "c360-linkage"
VALUE_MODEL = "c360-value"
SEGMENTS_MODEL = "c360-segments"
MADE_UP_PERSON = {
    "given_name": "Ada",
    "surname": "Lovelace",
    "email": "ada.lovelace@analytical-engine.org",
    "phone": "(415) 555-2671",
    "date_of_birth": "1815-12-10",
    "address": "12 Saint James Square",
    "city": "Springfield",
    "state": "IL",
    "postcode": "62701",
}
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class TrackedRun:
    """Where a pipeline run is in MLflow, and the versions of the models it registered, by name."""

    run_id: str
    tracking_uri: str
    experiment: str
    model_versions: dict[str, str]


def log_run(lake: Lakehouse, result: RunResult, *, report: Path | None = None) -> TrackedRun:
    """Log a run to MLflow and register its models.

    Counts, parameters, measures, charts of aggregates and model files; never a record. The store is the one that
    `mlflow.set_tracking_uri` or `MLFLOW_TRACKING_URI` names, else `mlruns/mlflow.db` of the project.

    Args:
        lake: the project's lakehouse.
        result: what the run did.
        report: the run's report, logged as an artifact.

    Raises:
        ProjectError: the store cannot be reached.
    """
    experiment = result.config.project.name
    with tracking_store(result.folder) as uri:
        import mlflow

        where = ensure_experiment(result.folder, experiment, uri)
        with mlflow.start_run(
            experiment_id=where, run_name=f"pipeline {result.run_id}", nested=True, tags=_tags(result)
        ) as run:
            _log(measures.whole_run(result))
            if report is not None:
                mlflow.log_artifact(str(report))
            versions: dict[str, str] = {}
            for name, logged, models in _children(lake, result):
                with mlflow.start_run(experiment_id=where, run_name=name, nested=True):
                    _log(logged)
                    _draw(_CHARTS[name](result))
                    for model in models:
                        lake.say(f"registering {model.name}")
                        versions[model.name] = register(model, run_f1(result.evaluation))
        return TrackedRun(str(run.info.run_id), uri, experiment, versions)


def _tags(result: RunResult) -> dict[str, str]:
    return {"c360ml.run_id": result.run_id, "c360ml.data_digest": result.digest}


def _log(logged: Logged) -> None:
    import mlflow

    mlflow.log_params(logged.params)
    mlflow.log_metrics(logged.metrics)


def _children(lake: Lakehouse, result: RunResult) -> list[tuple[str, Logged, list[LoggedModel]]]:
    children = [
        ("linkage", measures.linkage_run(result), [_linkage_model(result)]),
        ("value", measures.value_run(result), _value_models(lake, result)),
        ("segments", measures.segments_run(result), [_segments_model(result)]),
    ]
    if result.summary("campaigns").get("campaigns"):
        children.append(("campaigns", measures.campaigns_run(result), []))
    return children


def _linkage_model(result: RunResult) -> LoggedModel:
    other = {**MADE_UP_PERSON, "given_name": "Adah", "email": None}
    return LoggedModel(
        LINKAGE_MODEL,
        _HERE / "model_linkage.py",
        {"linkage": result.folder / "models" / "linkage.json"},
        [{"left": MADE_UP_PERSON, "right": other}],
        {"country": result.config.project.country},
    )


def _value_models(lake: Lakehouse, result: RunResult) -> list[LoggedModel]:
    content = lake.read_json("models/customer_value.json")
    if not content or not content["fitted"]:
        return []
    history = {
        "repeat_purchases": 2.0,
        "first_to_last_purchase_weeks": 30.5,
        "age_weeks": 60.0,
        "mean_spend": 100.0,
    }
    code = _HERE / "model_value.py"
    path = result.folder / "models" / "customer_value.json"
    return [LoggedModel(VALUE_MODEL, code, {"customer_value": path}, [history])]


def _segments_model(result: RunResult) -> LoggedModel:
    counts = {"purchases": 2.0, "days_since_last_purchase": 45.0, "total_spend": 200.0, "projected_value": 80.0}
    path = result.folder / "models" / "segments.json"
    return LoggedModel(SEGMENTS_MODEL, _HERE / "model_segments.py", {"segments": path}, [counts])


def _linkage_charts(result: RunResult) -> dict[str, Any]:
    return {"calibration": charts.calibration_chart(result), "blocking": charts.blocking_chart(result)}


def _value_charts(result: RunResult) -> dict[str, Any]:
    return {"forecast": charts.forecast_chart(result)}


def _segment_charts(result: RunResult) -> dict[str, Any]:
    return {
        "value_tiers": charts.sizes_chart(result, "value_tiers", "Customers by value tier"),
        "rfm_segments": charts.sizes_chart(result, "rfm_segments", "Customers by RFM segment"),
        "kmeans_segments": charts.sizes_chart(result, "kmeans_segments", "Customers by KMeans segment"),
    }


def _no_charts(result: RunResult) -> dict[str, Any]:
    return {}


_CHARTS: dict[str, Callable[[RunResult], dict[str, Any]]] = {
    "linkage": _linkage_charts,
    "value": _value_charts,
    "segments": _segment_charts,
    "campaigns": _no_charts,
}


def _draw(drawn: dict[str, Any]) -> None:
    """Log each chart as Vega-Lite JSON and as SVG, which MLflow's pages show."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        for name, spec in drawn.items():
            if spec is not None:
                (Path(folder) / f"{name}.svg").write_text(charts.as_svg(spec), "utf-8")
                mlflow.log_dict(spec, f"charts/{name}.vega.json")
        mlflow.log_artifacts(folder, "charts")
