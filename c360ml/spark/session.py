"""The Spark session: the user's own, the active one, or one made here for this machine and stopped afterwards."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from c360ml.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOCAL_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
    "spark.log.level": "ERROR",
}


@contextmanager
def without_pandas_warning() -> Iterator[None]:
    """Silence what pyspark says of pandas 3 where it asks for its version only: no pandas frame is made here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas", category=FutureWarning)
        yield


@contextmanager
def spark_session(
    given: SparkSession | None = None, *, memory_gb: float | None = None, threads: int | None = None
) -> Iterator[SparkSession]:
    """Use the session given, or the active one; otherwise make one for this machine, and stop it at the end.

    Args:
        given: the user's session; it is never stopped here.
        memory_gb: memory of a local session; without it Spark's default.
        threads: threads of a local session; without it all.

    Raises:
        ConfigError: pyspark or Java is missing.
    """
    _require_pyspark()
    with without_pandas_warning():
        from pyspark.sql import SparkSession

    known = given or SparkSession.getActiveSession()
    if known is not None:
        with _utc(known):
            yield known
        return
    session = _local_session(memory_gb, threads)
    try:
        yield session
    finally:
        session.stop()


def _require_pyspark() -> None:
    if find_spec("pyspark") is None:
        raise ConfigError(
            'engine = "spark" needs pyspark', got="no such module", hint="run `pip install c360ml[spark]`"
        )


def _local_session(memory_gb: float | None, threads: int | None) -> SparkSession:
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        raise ConfigError(
            'engine = "spark" needs Java 17 or newer', got="no java", hint="install a JDK and set JAVA_HOME"
        )
    builder = import_module("pyspark.sql").SparkSession.builder
    # Otherwise workers start another python3 than this one.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    cores = threads or os.cpu_count() or 1
    settings = LOCAL_SETTINGS | {"spark.sql.shuffle.partitions": str(2 * cores)}
    if memory_gb:
        settings["spark.driver.memory"] = f"{round(memory_gb * 1024)}m"
    builder = builder.master(f"local[{cores}]").appName("c360ml")
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        with without_pandas_warning():
            session: SparkSession = builder.getOrCreate()
    except Exception as error:
        if "JAVA_GATEWAY" not in str(error):
            raise
        raise ConfigError(
            'engine = "spark" needs Java 17 or newer',
            got="a Java that does not start Spark",
            hint="set JAVA_HOME to a JDK 17",
        ) from error
    return session


@contextmanager
def _utc(session: SparkSession) -> Iterator[None]:
    """Have a user's session count time as the lakehouse does, for as long as it is used here."""
    wanted = {name: LOCAL_SETTINGS[name] for name in LOCAL_SETTINGS if name.startswith("spark.sql.")}
    before = {name: session.conf.get(name, None) for name in wanted}
    for name, value in wanted.items():
        session.conf.set(name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                session.conf.unset(name)
            else:
                session.conf.set(name, old)
