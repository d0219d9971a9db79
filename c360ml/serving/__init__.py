"""Serving: the combined scorer behind `mlflow models serve`. Importing this does not load MLflow."""

from c360ml.serving.scorer import SCORER, export_champion, register_scorer

__all__ = ["SCORER", "export_champion", "register_scorer"]
