"""Spark: the same rooms on a cluster. Spark distributes, DuckDB computes in each task, so that answers are the same."""

from c360ml.spark.session import spark_session
from c360ml.spark.steps import SparkSteps

__all__ = ["SparkSteps", "spark_session"]
