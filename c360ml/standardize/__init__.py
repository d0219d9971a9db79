"""Standardize what sources say: e-mails, phones, names, addresses, dates; data quality."""

from c360ml.standardize.records import RECORD_COLUMNS, ROLES, standardize_records
from c360ml.standardize.step import append_standard, standardize

__all__ = ["RECORD_COLUMNS", "ROLES", "append_standard", "standardize", "standardize_records"]
