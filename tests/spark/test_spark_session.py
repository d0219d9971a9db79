"""The session: whose it is, who stops it, and what is said if it cannot be had."""

from __future__ import annotations

import importlib
import os

import pytest

from c360ml.errors import ConfigError
from c360ml.spark import session as module
from c360ml.spark.session import spark_session


@pytest.mark.slow
def test_a_given_session_is_used_and_not_stopped(spark):
    """A session given by the user is the one used, still runs afterwards, and has its own settings back."""
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    with spark_session(spark) as used:
        assert spark is used
        assert "UTC" == used.conf.get("spark.sql.session.timeZone")
    assert "Asia/Tokyo" == spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    assert 3 == spark.range(3).count()


@pytest.mark.slow
def test_the_active_session_is_used(spark):
    """Without a session given, the active one is used, as on Databricks."""
    with spark_session() as used:
        assert spark is used
    assert 3 == spark.range(3).count()


def test_missing_pyspark_is_said(monkeypatch):
    """Who has no pyspark is told which extra to install."""
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"c360ml\[spark\]"), spark_session():
        pass


def test_missing_java_is_said(monkeypatch):
    """Who has no Java is told so before Spark is started."""
    with module.without_pandas_warning():
        sql = importlib.import_module("pyspark.sql")
    monkeypatch.setattr(sql.SparkSession, "getActiveSession", classmethod(lambda cls: None))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    before = dict(os.environ)
    with pytest.raises(ConfigError, match="Java 17"), spark_session():
        pass
    assert before == dict(os.environ)
