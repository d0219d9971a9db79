"""Tracking: what each run measured, and the models it made, in MLflow. Importing this does not load MLflow."""

from c360ml.tracking.run_log import TrackedRun, log_run

__all__ = ["TrackedRun", "log_run"]
