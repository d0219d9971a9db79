"""What is logged of a run, before MLflow sees it."""

import re

import pytest

from c360ml.errors import DataError
from c360ml.tracking import charts, measures
from c360ml.tracking.registry import run_f1
from c360ml.tracking.schemas import RawRecord, finite, known_fields, told


def test_numbers_are_flat_finite_and_well_named():
    """Nested numbers become metrics that MLflow takes; texts, lists, nulls and infinities do not."""
    summary = {"a": {"b c": 1, "d'e": True}, "text": "x", "list": [1], "none": None, "inf": float("inf")}
    assert {"a.b c": 1.0, "a.d_e": 1.0} == measures.numbers(summary)


@pytest.mark.parametrize(
    "logged",
    [
        measures.whole_run,
        measures.blocking_run,
        measures.linkage_run,
        measures.identity_run,
        measures.value_run,
        measures.segments_run,
        measures.campaigns_run,
    ],
)
def test_each_run_logs_what_mlflow_takes(published_project, logged):
    """Every child has parameters and metrics with names MLflow accepts, and texts that are not too long."""
    got = logged(published_project.result)
    assert got.params
    assert got.metrics
    assert all(re.fullmatch(r"[\w\-. :/]+", name) for name in (*got.params, *got.metrics))
    assert max(len(value) for value in got.params.values()) <= 500


def test_the_measures_people_ask_for_are_logged(published_project):
    """Accuracy, blocking, clusters, likelihoods, forecast errors, totals and silhouette are among the metrics."""
    result = published_project.result
    linkage = measures.linkage_run(result).metrics
    assert {"pairwise_f1", "b3_f1", "labelled_f1", "candidate_pairs", "links", "clusters"} <= linkage.keys()
    assert {"pairs_by_class.person", "blocking.rules", "customers", "households"} <= linkage.keys()
    value = measures.value_run(result).metrics
    assert {
        "purchase_model.params.alpha",
        "gamma_gamma.params.q",
        "purchase_model.log_likelihood",
        "holdout.mae",
    } <= value.keys()
    assert {"historical_value", "projected_value"} <= value.keys()
    segments = measures.segments_run(result).metrics
    assert {"kmeans.silhouette", "value_tiers.VIP"} <= segments.keys()
    assert {"data_digest", "version.splink", "value.horizon_weeks"} <= measures.whole_run(result).params.keys()


def test_charts_are_drawn_from_aggregates(published_project):
    """Every chart becomes an SVG."""
    result = published_project.result
    specs = [
        charts.calibration_chart(result),
        charts.blocking_chart(result),
        charts.forecast_chart(result),
        charts.sizes_chart(result, "value_tiers", "Customers by value tier"),
    ]
    assert all(charts.as_svg(spec).startswith("<svg") for spec in specs)


def test_labels_are_compared_by_the_best_measure_there_is():
    """True ids come before labelled pairs; without either there is no measure."""
    assert 0.9 == run_f1({"pairwise_f1": 0.9, "labelled_f1": 0.8})
    assert 0.8 == run_f1({"labelled_f1": 0.8})
    assert run_f1({}) is None


def test_errors_do_not_repeat_the_record():
    """What is told of a record's error is the rule or the kind of error."""
    assert "DataError: email must be text" == told(DataError("email must be text", got="secret", hint="x"))
    assert "KeyError" == told(KeyError("secret"))


def test_unknown_fields_reach_the_model():
    """A field that no schema knows is not dropped in silence."""
    assert {"surname": "Lee", "e-mail": "x"} == known_fields(
        RawRecord.model_validate({"surname": "Lee", "e-mail": "x"})
    )
    assert finite(float("inf")) is None
