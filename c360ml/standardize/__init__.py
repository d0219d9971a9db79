"""Standardize what sources say: e-mails, phones, names, addresses, dates; data quality."""

from c360ml.standardize.records import RECORD_COLUMNS, ROLES, standardize_records
from c360ml.standardize.step import standardize

__all__ = ["RECORD_COLUMNS", "ROLES", "standardize", "standardize_records"]
