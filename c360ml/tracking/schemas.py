"""What registered models take and answer: typed records; their fields become MLflow's signatures."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from c360ml.errors import C360Error


class Taken(BaseModel):
    """A record that a model takes. Fields it does not know are refused by the model, record by record."""

    # MLflow reads "forbid" as an error of the whole request, which repeats the request in its answer.
    model_config = ConfigDict(extra="allow", allow_inf_nan=False, hide_input_in_errors=True)


def _as_given(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Let a value of a wrong type pass, for the model to refuse with its record.

    MLflow reads an error here as one of the whole request, and repeats the request in its answer.
    """
    try:
        return check(value)
    except ValidationError:
        return value


Text = Annotated[str | None, WrapValidator(_as_given)]


class RawRecord(Taken):
    """A customer record as a source would send it; every field is optional text."""

    full_name: Text = None
    given_name: Text = None
    middle_name: Text = None
    surname: Text = None
    maiden_name: Text = None
    suffix: Text = None
    email: Text = None
    phone: Text = None
    date_of_birth: Text = None
    national_id: Text = None
    address: Text = None
    street_number: Text = None
    street: Text = None
    unit: Text = None
    city: Text = None
    state: Text = None
    postcode: Text = None
    country: Text = None
    gender: Text = None


class RecordPair(Taken):
    """Two records that may be one person."""

    left: RawRecord
    right: RawRecord


class PairStep(BaseModel):
    """What one comparison adds to the match weight (log2); answers of a batch share it, so it does not change."""

    model_config = ConfigDict(frozen=True)

    step: str
    level: str
    weight: float
    match_weight: float


class PairScore(BaseModel):
    """How probable it is that two records are one person, and why."""

    match_weight: float | None = None
    match_probability: float | None = None
    explanation: list[PairStep] | None = None
    error: str | None = None


class PurchaseHistory(Taken):
    """A customer's purchases in the four numbers that BG/NBD and Gamma-Gamma look at."""

    repeat_purchases: float
    first_to_last_purchase_weeks: float
    age_weeks: float
    mean_spend: float | None = None


class Value(BaseModel):
    """What a customer is expected to do and spend within the model's horizon."""

    probability_alive: float | None = None
    expected_purchases: float | None = None
    expected_spend: float | None = None
    projected_value: float | None = None
    value_year_1: float | None = None
    value_year_2: float | None = None
    value_year_3: float | None = None
    value_all_years: float | None = None
    error: str | None = None


class CustomerCounts(Taken):
    """What a customer did, in counts and sums."""

    purchases: float = 0.0
    days_since_last_purchase: float | None = None
    total_spend: float = 0.0
    projected_value: float = 0.0
    service_visits: float = 0.0
    digital_interactions: float = 0.0


class Segments(BaseModel):
    """The segments of a customer; PROSPECT without a purchase."""

    rfm_score: str | None = None
    rfm_segment: str | None = None
    kmeans_segment: str | None = None
    value_tier: str | None = None
    error: str | None = None


def known_fields(record: Taken) -> dict[str, Any]:
    """Give what a record says, without what it leaves out; unknown fields stay, for the model to refuse."""
    return {name: value for name, value in record if value is not None or name not in type(record).model_fields}


def finite(number: Any) -> float | None:
    """Give a number, or None where there is none: JSON knows no NaN.

    >>> finite(1), finite(float("nan")), finite(None)
    (1.0, None, None)
    """
    return float(number) if number is not None and math.isfinite(number) else None


def told(error: Exception) -> str:
    """Say what was wrong with a record without repeating it: the rule that was broken, or the kind of error.

    >>> told(ValueError("secret"))
    'ValueError'
    """
    return f"{type(error).__name__}: {error.rule}" if isinstance(error, C360Error) else type(error).__name__
