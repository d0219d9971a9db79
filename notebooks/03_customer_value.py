# %% [markdown]
# # Customer value from transactions: CDNOW
#
# The data set of the BG/NBD paper (Fader, Hardie and Lee 2005): 2,357 customers who first bought in early 1997.

# %%
import importlib.util
from pathlib import Path

import altair as alt
import pandas as pd

from c360ml import BgNbd, GammaGamma, RfmScorer, customer_lifetime_value, purchase_history
from c360ml.customer_value import holdout_backtest

# %%
folder = Path(importlib.util.find_spec("lifetimes").submodule_search_locations[0]) / "datasets"
sales = pd.read_csv(folder / "CDNOW_sample.txt", sep=r"\s+", names=["all_id", "id", "day", "items", "amount"])
sales["day"] = pd.to_datetime(sales["day"].astype(str), format="%Y%m%d")

# %%
history = purchase_history(sales, customer="id", date="day", amount="amount", observation_end="1997-09-30")
purchases, spend = BgNbd().fit(history), GammaGamma().fit(history)
{name: round(value, 4) for name, value in (purchases.params_ | spend.params_).items()}

# %% [markdown]
# The published values: r .243, alpha 4.414, a .793, b 2.426, log-likelihood -9582.4.

# %%
assert round(purchases.log_likelihood_, 1) == -9582.4

# %% [markdown]
# How good is the forecast? Fit on 39 weeks, compare with the next 39.

# %%
test = holdout_backtest(
    sales, customer="id", date="day", amount="amount", holdout_start="1997-10-01", observation_end="1998-06-30"
)
{name: value for name, value in test.metrics.items() if name in ("bias", "mae", "naive_bias", "naive_mae")}

# %%
tracking = pd.DataFrame(test.to_dict()["tracking"])
tracking.head()

# %% [markdown]
# What is each customer worth in the next year, discounted?

# %%
value = customer_lifetime_value(purchases, spend, history, horizon_weeks=52, discount_rate_per_year=0.10)
value.sort_values("projected_value", ascending=False).head()

# %%
alt.Chart(value.sample(1000, random_state=1)).mark_circle(opacity=0.5).encode(
    x=alt.X("historical_value", scale=alt.Scale(type="symlog"), title="spent so far"),
    y=alt.Y("projected_value", scale=alt.Scale(type="symlog"), title="projected, 52 weeks"),
    color=alt.Color("probability_alive", title="P(alive)"),
).properties(title="Past value is not future value", width=420, height=300)

# %% [markdown]
# RFM scores by value: equal customers score equally.

# %%
buyers = pd.DataFrame(
    {
        "customer_id": history["customer_id"],
        "days_since_last_purchase": (pd.Timestamp("1997-09-30") - pd.to_datetime(history["last_purchase_on"])).dt.days,
        "purchases": history["purchases"],
        "total_spend": history["total_spend"],
    }
)
RfmScorer().fit(buyers).transform(buyers)["rfm_segment"].value_counts()
