"""The pipeline's steps that run on Spark, by name; all others work on their tables with DuckDB on the driver."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.spark.collecting import collect_interactions, profile_customers
from c360ml.spark.frames import Frames, frames
from c360ml.spark.identifying import identify
from c360ml.spark.link_step import link
from c360ml.spark.session import spark_session
from c360ml.spark.standardizing import standardize

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SPARK_STEPS: dict[str, Callable[[Frames, Config], dict[str, Any]]] = {
    "standardize": standardize,
    "link": link,
    "identify": identify,
    "collect": collect_interactions,
    "profile": profile_customers,
}


class SparkSteps:
    """Runs the steps of one run on Spark; the session is opened when the first needs it.

    Args:
        given: the user's session; without it the active one, or one made here and stopped at the end.

    >>> SparkSteps().knows("link"), SparkSteps().knows("value")
    (True, False)
    """

    def __init__(self, given: SparkSession | None = None) -> None:
        self._given = given
        self._session: SparkSession | None = None
        self._open = ExitStack()

    def __enter__(self) -> SparkSteps:
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def knows(self, step: str) -> bool:
        """Whether a step runs on Spark."""
        return step in SPARK_STEPS

    def work(self, step: str) -> Callable[[Lakehouse, Config], dict[str, Any]]:
        """What a step does on Spark.

        Raises:
            ConfigError: pyspark or Java is missing.
        """

        def on_spark(lake: Lakehouse, config: Config) -> dict[str, Any]:
            with frames(self._spark(lake, config), lake) as opened:
                return SPARK_STEPS[step](opened, config)

        return on_spark

    def _spark(self, lake: Lakehouse, config: Config) -> SparkSession:
        if self._session is None:
            lake.say("opening a Spark session")
            engine = config.engine
            self._session = self._open.enter_context(
                spark_session(self._given, memory_gb=engine.memory_limit_gb, threads=engine.threads)
            )
        return self._session
