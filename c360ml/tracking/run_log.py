"""One pipeline run into MLflow: a parent run, a child for each kind of work, models, cards, drift."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml.errors import ProjectError
from c360ml.tracking import charts, measures
from c360ml.tracking.drift import Drift, measure_drift
from c360ml.tracking.drift_profile import PROFILE_FILE, drift_profile
from c360ml.tracking.exports import CARD_FILE, EXPORTS, export_champion_of
from c360ml.tracking.inputs import file_hashes, log_inputs, log_labels, table_versions
from c360ml.tracking.measures import Logged
from c360ml.tracking.model_card import model_cards
from c360ml.tracking.registry import MADE_UP_PERSON, LoggedModel, register, run_f1
from c360ml.tracking.store import ensure_experiment, tracking_store

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse
    from c360ml.pipeline import RunResult

LINKAGE_MODEL = "c360-linkage"
VALUE_MODEL = "c360-value"
SEGMENTS_MODEL = "c360-segments"
DRIFT_FILE = "data/drift_profile.json"
CHAMPION_PROFILE = f"{EXPORTS}/{LINKAGE_MODEL}/{PROFILE_FILE}"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class TrackedRun:
    """Where a pipeline run is in MLflow, and the versions of the models it registered, by name."""

    run_id: str
    tracking_uri: str
    experiment: str
    model_versions: dict[str, str]


def drift_of_run(lake: Lakehouse, result: RunResult) -> Drift:
    """Compare a run with the run of the champion linkage model, as it was exported; keeps what it found for later.

    Args:
        lake: the project's open lakehouse.
        result: what the run said of itself.
    """
    profile = drift_profile(lake, result)
    lake.write_json(DRIFT_FILE, profile)
    return measure_drift(profile, lake.read_json(CHAMPION_PROFILE))


def drift_since_champion(lake: Lakehouse) -> Drift:
    """Compare the last run with the run of the champion linkage model, from what both have kept; reads no table.

    Raises:
        ProjectError: no run was tracked yet.
    """
    profile = lake.read_json(DRIFT_FILE)
    if profile is None:
        raise ProjectError("drift needs a run that was tracked", got="none in the project", hint="run `c360ml run`")
    return measure_drift(profile, lake.read_json(CHAMPION_PROFILE))


def log_run(
    lake: Lakehouse, result: RunResult, *, report: Path | None = None, drift: Drift | None = None
) -> TrackedRun:
    """Log a run to MLflow, register its models, and export those that are champions to `models/NAME`.

    Counts, parameters, measures, charts of aggregates, keys of records and model files; never a record. The store is
    the one that `mlflow.set_tracking_uri` or `MLFLOW_TRACKING_URI` names, else `mlruns/mlflow.db` of the project.

    Args:
        lake: the project's lakehouse.
        result: what the run did.
        report: the run's report, logged as an artifact.
        drift: what `drift_of_run` gave; measured here without it.

    Raises:
        ProjectError: the store cannot be reached.
    """
    experiment = result.config.project.name
    drift = drift or drift_of_run(lake, result)
    with tracking_store(result.folder) as uri:
        import mlflow

        where = ensure_experiment(result.folder, experiment, uri)
        with mlflow.start_run(
            experiment_id=where, run_name=f"pipeline {result.run_id}", nested=True, tags=_tags(result)
        ) as run:
            _log_whole(lake, result, report, drift)
            versions: dict[str, str] = {}
            for child in _children(lake, result):
                with mlflow.start_run(experiment_id=where, run_name=child.name, nested=True):
                    _log(child.logged)
                    log_inputs(lake, result, child.name)
                    _draw(child.name, child.charts)
                    _log_tables(child.tables)
                    if child.name in ("blocking", "linkage", "identity"):
                        log_labels(result)
                    for model in child.models:
                        lake.say(f"registering {model.name}")
                        versions[model.name] = register(model, run_f1(result.evaluation))
        for name in versions:
            export_champion_of(result.folder, name)
        return TrackedRun(str(run.info.run_id), uri, experiment, versions)


def _log_whole(lake: Lakehouse, result: RunResult, report: Path | None, drift: Drift) -> None:
    """Log what is of the run as a whole: what it read, what moved, the cards of its models."""
    import mlflow

    _log(measures.whole_run(result))
    if report is not None:
        mlflow.log_artifact(str(report))
    mlflow.log_dict({"tables": table_versions(lake), "files": file_hashes(lake, result)}, "data.json")
    mlflow.log_dict(drift.profile, PROFILE_FILE)
    mlflow.log_dict(drift.to_dict(), "drift.json")
    mlflow.log_metrics(measures.numbers(drift.metrics(), "drift."))
    mlflow.set_tag("c360ml.drift", drift.verdict)
    with tempfile.TemporaryDirectory() as folder:
        for card in model_cards(result, drift):
            place = Path(folder) / card.name
            place.mkdir()
            (place / CARD_FILE).write_text(card.markdown(), "utf-8")
            (place / "model_card.html").write_text(card.html(), "utf-8")
        mlflow.log_artifacts(folder, "cards")


def _tags(result: RunResult) -> dict[str, str]:
    return {"c360ml.run_id": result.run_id, "c360ml.data_digest": result.digest}


def _log(logged: Logged) -> None:
    import mlflow

    mlflow.log_params(logged.params)
    mlflow.log_metrics(logged.metrics)


@dataclass(frozen=True)
class _Child:
    """A child run: parameters and metrics, models, charts, tables of aggregates or keys."""

    name: str
    logged: Logged
    models: tuple[LoggedModel, ...] = ()
    charts: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)


def _children(lake: Lakehouse, result: RunResult) -> list[_Child]:
    link, value, segment = (result.summary(step) for step in ("link", "value", "segment"))
    children = [
        _Child(
            "blocking",
            measures.blocking_run(result),
            charts={"blocking": charts.blocking_chart(result)},
            tables={"rules": [_without_example(rule) for rule in link["blocking_rules"]]},
        ),
        _Child(
            "linkage",
            measures.linkage_run(result),
            (_linkage_model(result),),
            {"calibration": charts.calibration_chart(result)},
            {"fit_report": link["fit_report"], "calibration": result.evaluation.get("calibration")},
        ),
        _Child("identity", measures.identity_run(result), tables={"errors": measures.error_rows(result)}),
        _Child(
            "value",
            measures.value_run(result),
            _value_models(lake, result),
            {"forecast": charts.forecast_chart(result)},
            {"guard_rails": value.get("guard_rails"), "backtest": value.get("comparison")},
        ),
        _Child(
            "segments",
            measures.segments_run(result),
            (_segments_model(result),),
            _segment_charts(result),
            {"stability": (segment.get("kmeans") or {}).get("diagnostics")},
        ),
    ]
    if result.summary("campaigns").get("campaigns"):
        children.append(_Child("campaigns", measures.campaigns_run(result)))
    return children


def _without_example(rule: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if name != "hottest_example"}


def _linkage_model(result: RunResult) -> LoggedModel:
    other = {**MADE_UP_PERSON, "given_name": "Adah", "email": None}
    return LoggedModel(
        LINKAGE_MODEL,
        _HERE / "model_linkage.py",
        {"linkage": result.folder / "models" / "linkage.json"},
        [{"left": MADE_UP_PERSON, "right": other}],
        {"country": result.config.project.country},
    )


def _value_models(lake: Lakehouse, result: RunResult) -> tuple[LoggedModel, ...]:
    content = lake.read_json("models/customer_value.json")
    if not content or not content["fitted"]:
        return ()
    history = {
        "repeat_purchases": 2.0,
        "first_to_last_purchase_weeks": 30.5,
        "age_weeks": 60.0,
        "mean_spend": 100.0,
    }
    code = _HERE / "model_value.py"
    path = result.folder / "models" / "customer_value.json"
    return (LoggedModel(VALUE_MODEL, code, {"customer_value": path}, [history]),)


def _segments_model(result: RunResult) -> LoggedModel:
    counts = {"purchases": 2.0, "days_since_last_purchase": 45.0, "total_spend": 200.0, "projected_value": 80.0}
    path = result.folder / "models" / "segments.json"
    return LoggedModel(SEGMENTS_MODEL, _HERE / "model_segments.py", {"segments": path}, [counts])


def _segment_charts(result: RunResult) -> dict[str, Any]:
    return {
        "value_tiers": charts.sizes_chart(result, "value_tiers", "Customers by value tier"),
        "rfm_segments": charts.sizes_chart(result, "rfm_segments", "Customers by RFM segment"),
        "kmeans_segments": charts.sizes_chart(result, "kmeans_segments", "Customers by KMeans segment"),
    }


def _draw(child: str, drawn: dict[str, Any]) -> None:
    """Log each chart as Vega-Lite JSON and as SVG, and a page of all of them, which MLflow shows."""
    import mlflow

    figures = {name: charts.as_svg(spec) for name, spec in drawn.items() if spec is not None}
    if not figures:
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, figure in figures.items():
            (Path(folder) / f"{name}.svg").write_text(figure, "utf-8")
            (Path(folder) / f"{name}.vega.json").write_text(json.dumps(drawn[name]), "utf-8")
        page = charts.page_of(child, figures)
        (Path(folder) / f"{child}.html").write_text(page, "utf-8")
        mlflow.log_artifacts(folder, "charts")


def _log_tables(found: dict[str, Any]) -> None:
    import mlflow

    for name, content in found.items():
        if content:
            mlflow.log_text(json.dumps(content, indent=1, allow_nan=False), f"tables/{name}.json")
