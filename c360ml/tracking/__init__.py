"""Tracking: what each run measured, and the models it made, in MLflow. Importing this does not load MLflow."""

from c360ml.tracking.drift import Drift, Shift
from c360ml.tracking.exports import verify_export
from c360ml.tracking.promotion import Promotion, promote
from c360ml.tracking.run_log import TrackedRun, drift_of_run, drift_since_champion, log_run

__all__ = [
    "Drift",
    "Promotion",
    "Shift",
    "TrackedRun",
    "drift_of_run",
    "drift_since_champion",
    "log_run",
    "promote",
    "verify_export",
]
