"""What the combined scorer answers."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from c360ml.identity.resolution import Resolution
from c360ml.tracking.schemas import PairStep, finite


class GoldenRecord(BaseModel):
    """The best known value of each field of a customer, dates and times as text."""

    full_name: str | None = None
    given_name: str | None = None
    middle_name: str | None = None
    surname: str | None = None
    suffix: str | None = None
    email: str | None = None
    phone: str | None = None
    date_of_birth: str | None = None
    gender: str | None = None
    street_number: str | None = None
    street: str | None = None
    unit: str | None = None
    city: str | None = None
    state: str | None = None
    postcode: str | None = None
    country: str | None = None
    status: str | None = None
    marketing_consent: bool | None = None
    records: int | None = None
    sources: list[str] | None = None
    quality_score: float | None = None
    first_seen_at: str | None = None
    last_seen_at: str | None = None


class Answer(BaseModel):
    """Who a record is and what that customer is worth; `error` if the record could not be read.

    `clv` is `historical_value` and `projected_value` together. Golden record, value and segments are those of a
    known customer; they are null if the record is new.
    """

    master_id: str | None = None
    is_new: bool | None = None
    match_probability: float | None = None
    household_id: str | None = None
    clv: float | None = None
    historical_value: float | None = None
    projected_value: float | None = None
    probability_alive: float | None = None
    rfm_segment: str | None = None
    kmeans_segment: str | None = None
    behaviour_segment: str | None = None
    value_tier: str | None = None
    golden_record: GoldenRecord | None = None
    explanation: list[PairStep] | None = None
    error: str | None = None


_VALUES = ("historical_value", "projected_value", "probability_alive")
_SEGMENTS = ("rfm_segment", "kmeans_segment", "behaviour_segment", "value_tier")


def answers(resolutions: Sequence[Resolution]) -> list[Answer]:
    """Put many resolutions into answers, as `answer` does one; those of one agreement pattern share their steps."""
    shared: dict[int, list[PairStep]] = {}
    for resolution in resolutions:
        if id(resolution.explanation) not in shared:
            shared[id(resolution.explanation)] = _steps(resolution)
    return [_answer(resolution, list(shared[id(resolution.explanation)])) for resolution in resolutions]


def answer(resolution: Resolution) -> Answer:
    """Put a resolution and what is known of the customer into one answer; no number is NaN or infinite.

    >>> answer(Resolution(None, True, 0.0, None, (), 0)).is_new
    True
    """
    return _answer(resolution, _steps(resolution))


def _steps(resolution: Resolution) -> list[PairStep]:
    return [PairStep.model_validate(step) for step in resolution.explanation]


def _answer(resolution: Resolution, steps: list[PairStep]) -> Answer:
    known, golden = resolution.customer or {}, resolution.golden_record
    return Answer(
        master_id=resolution.master_id,
        is_new=resolution.is_new,
        match_probability=finite(resolution.match_probability),
        household_id=resolution.household_id,
        clv=finite(known.get("customer_value")),
        golden_record=None if golden is None else GoldenRecord.model_validate(golden),
        explanation=steps,
        **{name: finite(known.get(name)) for name in _VALUES},
        **{name: known.get(name) for name in _SEGMENTS},
    )
