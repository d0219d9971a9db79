"""What tests of the Spark room share: one small local session, and the small world as DuckDB resolved it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from c360ml.lakehouse import Lakehouse
from c360ml.spark.frames import Frames, frames
from c360ml.spark.session import spark_session


@pytest.fixture(scope="session")
def spark() -> Iterator[object]:
    """A session of two threads and two partitions, tuned for many small jobs: most of their time is for planning."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
        with spark_session(memory_gb=1, threads=2) as session:
            session.conf.set("spark.sql.shuffle.partitions", "2")
            session.conf.set("spark.sql.adaptive.enabled", "false")
            session.conf.set("spark.sql.codegen.wholeStage", "false")
            session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
            yield session


@pytest.fixture
def scratch(spark: object, tmp_path: Path) -> Iterator[Frames]:
    """Frames of an empty project."""
    with Lakehouse(tmp_path) as lake, frames(spark, lake) as opened:
        yield opened


@pytest.fixture
def small_world(spark: object, small_world_copy: Path) -> Iterator[Frames]:
    """Frames of a copy of the small world."""
    with Lakehouse(small_world_copy) as lake, frames(spark, lake) as opened:
        yield opened
