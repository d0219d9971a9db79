"""Serving: the combined scorer (`scorer`) behind `mlflow models serve` and `c360ml serve` (`server`).

This file imports nothing: a process of `c360ml serve` must answer its parent before it has loaded what scores.
"""
