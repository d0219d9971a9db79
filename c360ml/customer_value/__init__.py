"""Customer value: purchase histories, models of purchases and spend, lifetime value and how good the forecast is."""

from c360ml.customer_value.append import append_values
from c360ml.customer_value.append_doubt import append_value_doubt, draw_values
from c360ml.customer_value.backtest import Backtest, holdout_backtest
from c360ml.customer_value.bg_nbd import BgNbd
from c360ml.customer_value.doubt import doubt_values
from c360ml.customer_value.gamma_gamma import GammaGamma
from c360ml.customer_value.history import purchase_history
from c360ml.customer_value.identity_bias import identity_bias, identity_bias_table
from c360ml.customer_value.lifetime_value import customer_lifetime_value
from c360ml.customer_value.mbg_nbd import MbgNbd
from c360ml.customer_value.model_choice import Comparison, compare_models
from c360ml.customer_value.pareto_nbd import ParetoNbd
from c360ml.customer_value.step import value_customers
from c360ml.customer_value.triple_counts import TripleCounts
from c360ml.customer_value.valuation import Valuation, value_transactions

__all__ = [
    "Backtest",
    "BgNbd",
    "Comparison",
    "GammaGamma",
    "MbgNbd",
    "ParetoNbd",
    "TripleCounts",
    "Valuation",
    "append_value_doubt",
    "append_values",
    "compare_models",
    "customer_lifetime_value",
    "doubt_values",
    "draw_values",
    "holdout_backtest",
    "identity_bias",
    "identity_bias_table",
    "purchase_history",
    "value_customers",
    "value_transactions",
]
