"""To and from the fitters of the archived lifetimes package, for who has them or wants them as a check."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from c360ml.errors import ModelError

_FITTERS = {
    "BG/NBD": "BetaGeoFitter",
    "MBG/NBD": "ModifiedBetaGeoFitter",
    "Pareto/NBD": "ParetoNBDFitter",
    "Gamma-Gamma": "GammaGammaFitter",
}


def to_fitter(kind: str, params: Mapping[str, float]) -> Any:
    """Make a fitter with these parameters; it predicts, but holds no data.

    Raises:
        ModelError: lifetimes is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its imports warn on today's pandas
            import lifetimes
            import pandas
    except ImportError as error:
        raise ModelError("lifetimes must be installed", got=error, hint="pip install c360ml[lifetimes]") from error
    fitter = getattr(lifetimes, _FITTERS[kind])()
    fitter.params_ = pandas.Series(dict(params))
    if hasattr(fitter, "conditional_expected_number_of_purchases_up_to_time"):
        fitter.predict = fitter.conditional_expected_number_of_purchases_up_to_time
    return fitter


def params_of(fitter: Any, kind: str) -> dict[str, float]:
    """Take the parameters of a fitter.

    Raises:
        ModelError: it is another model's, or was not fitted.
    """
    name = type(fitter).__name__
    if name != _FITTERS[kind]:
        raise ModelError(f"{kind} must come from a {_FITTERS[kind]}", got=name, hint="choose the model that fits it")
    if not hasattr(fitter, "params_"):
        raise ModelError("a fitter must be fitted", got="one that is not", hint="fitter.fit(...)")
    return {str(key): float(value) for key, value in fitter.params_.items()}


def data_of(fitter: Any, weeks_per_unit: float = 1.0) -> Any:
    """Take what a fitter was fitted on, as a history in weeks.

    Raises:
        ModelError: it was saved without its data.
    """
    data = getattr(fitter, "data", None)
    if data is None or not len(data):
        raise ModelError("a fitter must hold its data", got="one saved without", hint="give them as history=...")
    names = {"repeat_purchases": "frequency", "mean_spend": "monetary_value", "weight": "weights"}
    columns = {ours: data[theirs].to_numpy(dtype=np.float64) for ours, theirs in names.items() if theirs in data}
    times = {"first_to_last_purchase_weeks": "recency", "age_weeks": "T"}
    columns |= {ours: data[theirs].to_numpy(float) * weeks_per_unit for ours, theirs in times.items() if theirs in data}
    return pa.table(columns)
