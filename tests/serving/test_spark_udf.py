"""Registered models as Spark functions: a table scored in Spark gets the answers that its rows get here."""

import mlflow
import pandas
import pytest

from c360ml.spark.session import spark_session
from c360ml.standardize.records import ROLES
from c360ml.tracking.schemas import PurchaseHistory

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]


@pytest.fixture(scope="module")
def spark():
    """A small local session."""
    with spark_session(memory_gb=1, threads=2) as session:
        session.conf.set("spark.sql.shuffle.partitions", "2")
        yield session


def scored(spark, model, frame, columns):
    """Rows as Spark's Python processes score them, in the order of the frame."""
    from pyspark.sql.functions import col, struct

    score = mlflow.pyfunc.spark_udf(spark, str(model), env_manager="local")
    table = spark.createDataFrame([*frame.itertuples()], ", ".join(["place int", *columns]))
    names = [column.partition(" ")[0] for column in columns]
    answered = table.repartition(2).withColumn("answer", score(struct(*map(col, names))))
    return [row.answer.asDict(recursive=True) for row in answered.orderBy("place").collect()]


def same(expected, actual):
    """Whether an answer is that of Spark, where a number is missing as None or NaN."""
    if isinstance(expected, dict):
        return all(same(cell, actual[name]) for name, cell in expected.items())
    if isinstance(expected, list):
        return len(expected) == len(actual) and all(map(same, expected, actual))
    if expected is None:
        return actual is None or actual != actual
    return actual == (pytest.approx(expected, abs=1e-9) if isinstance(expected, float) else expected)


def test_values_in_spark_are_the_models(spark, served_project):
    """Each history gets the value that the model gives it in process."""
    histories = pandas.DataFrame(
        {
            "repeat_purchases": [0.0, 3.0, 1.0, 12.0] * 60,
            "first_to_last_purchase_weeks": [0.0, 40.0, 12.0, 100.0] * 60,
            "age_weeks": [float(weeks) for weeks in range(101, 341)],
            "mean_spend": [None, 30_000.0, 22_000.0, 41_000.0] * 60,
        }
    )
    model = served_project / "models" / "c360-value"
    expected = [each.model_dump() for each in mlflow.pyfunc.load_model(str(model)).predict(histories)]
    histories = histories.astype(object).where(histories.notna(), None)
    actual = scored(spark, model, histories, [f"{name} double" for name in PurchaseHistory.model_fields])
    assert all(each["projected_value"] for each in expected)
    assert [] == [pair for pair in zip(expected, actual, strict=True) if not same(*pair)]


def test_records_in_spark_are_resolved_as_here(spark, served_project, raw_records, monkeypatch):
    """Each raw record gets the customer, the probability and the value that the scorer gives it in process."""
    monkeypatch.setenv("C360ML_PROJECT", str(served_project))
    frame = pandas.DataFrame(raw_records[:150])
    model = served_project / "models" / "c360-scorer"
    expected = [each.model_dump() for each in mlflow.pyfunc.load_model(str(model)).predict(frame)]
    actual = scored(spark, model, frame.where(frame.notna(), None), [f"{role} string" for role in frame.columns])
    assert set(ROLES) == set(frame.columns)
    assert {"master_id", "clv", "golden_record", "explanation"} <= set(actual[0])
    assert [] == [pair for pair in zip(expected, actual, strict=True) if not same(*pair)]
