"""Customer value: purchase histories, BG/NBD, Gamma-Gamma, lifetime value and how good the forecast is."""

from c360ml.customer_value.backtest import Backtest, holdout_backtest
from c360ml.customer_value.bg_nbd import BgNbd
from c360ml.customer_value.gamma_gamma import GammaGamma
from c360ml.customer_value.history import purchase_history
from c360ml.customer_value.lifetime_value import customer_lifetime_value
from c360ml.customer_value.step import value_customers
from c360ml.customer_value.valuation import Valuation, value_transactions

__all__ = [
    "Backtest",
    "BgNbd",
    "GammaGamma",
    "Valuation",
    "customer_lifetime_value",
    "holdout_backtest",
    "purchase_history",
    "value_customers",
    "value_transactions",
]
