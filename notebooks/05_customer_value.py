# %% [markdown]
# # Customer value from transactions: CDNOW, and a shop like Online Retail
#
# You will learn how to turn transactions into purchase histories, fit models of purchases and spend, see how good the
# forecast is on weeks it never saw, choose between models, and read what each customer is worth.
#
# CDNOW is the data set of the BG/NBD paper (Fader, Hardie and Lee 2005): 2,357 customers who first bought in early
# 1997. It comes with the `lifetimes` package (`pip install "c360ml[lifetimes]"`).

# %%
import importlib.util
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from c360ml import BgNbd, GammaGamma, RfmScorer, customer_lifetime_value, purchase_history
from c360ml.customer_value import ParetoNbd, holdout_backtest, value_transactions
from c360ml.dashboards import plots

# %%
folder = Path(importlib.util.find_spec("lifetimes").submodule_search_locations[0]) / "datasets"
sales = pd.read_csv(folder / "CDNOW_sample.txt", sep=r"\s+", names=["all_id", "id", "day", "items", "amount"])
sales["day"] = pd.to_datetime(sales["day"].astype(str), format="%Y%m%d")
sales.head()

# %% [markdown]
# ## Histories and models
#
# All that the models need to know of a customer: how many repeat purchases, when the last one was, how long ago the
# first.

# %%
history = purchase_history(sales, customer="id", date="day", amount="amount", observation_end="1997-09-30")
purchases, spend = BgNbd().fit(history), GammaGamma().fit(history)
purchases

# %% [markdown]
# The published values: r .243, alpha 4.414, a .793, b 2.426, log-likelihood -9582.4.

# %%
assert round(purchases.log_likelihood_, 1) == -9582.4
spend

# %% [markdown]
# What the model believes: who bought often and then stopped is probably gone; who bought rarely may just be slow.

# %%
plots.plot_alive_grid(purchases, age_weeks=39)

# %% [markdown]
# ## Is the forecast any good?
#
# Fit on 39 weeks, compare with the next 39. The naive forecast says that everybody goes on at their rate so far.

# %%
dates = {"holdout_start": "1997-10-01", "observation_end": "1998-06-30"}
test = holdout_backtest(sales, customer="id", date="day", amount="amount", **dates)
assert abs(test.metrics["bias"]) < abs(test.metrics["naive_bias"])
test

# %%
plots.plot_tracking(test)

# %%
plots.plot_calibration(test)

# %% [markdown]
# Another model of leaving: Pareto/NBD lets customers leave at any time, BG/NBD after a purchase only.

# %%
pareto = ParetoNbd().fit(history)
pd.DataFrame(
    {
        model.kind: {"log-likelihood": model.log_likelihood_, "AIC": model.aic_, "parameters": len(model.params_)}
        for model in (purchases, pareto)
    }
).T.round(1)

# %% [markdown]
# ## What is each customer worth?
#
# Expected purchases of the coming year times expected spend, discounted by 10 % a year. Past and future value stay
# apart.

# %%
value = customer_lifetime_value(purchases, spend, history, horizon_weeks=52, discount_rate_per_year=0.10)
value.sort_values("projected_value", ascending=False).head()

# %%
alt.Chart(value.sample(1000, random_state=1)).mark_circle(opacity=0.5).encode(
    x=alt.X("historical_value", scale=alt.Scale(type="symlog"), title="spent so far"),
    y=alt.Y("projected_value", scale=alt.Scale(type="symlog"), title="projected, 52 weeks"),
    color=alt.Color("probability_alive", title="P(alive)"),
).properties(title="Past value is not future value", width=420, height=300)

# %%
plots.plot_value_distribution(value)

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
rfm = RfmScorer().fit(buyers)
rfm

# %%
rfm.transform(buyers)["rfm_segment"].value_counts()

# %% [markdown]
# ## A shop with invoice lines, returns and unknown customers: Online Retail
#
# The UCI data set Online Retail II (invoices of a British gift shop, 2009 to 2011) is not shipped: it has a licence
# and a home of its own. With the Excel file from <https://archive.ics.uci.edu/dataset/502/online+retail+ii>:
#
# ```python
# lines = pd.read_excel("online_retail_II.xlsx").dropna(subset=["Customer ID"])
# lines["amount"] = lines["Quantity"] * lines["Price"]
# value_transactions(lines, customer="Customer ID", date="InvoiceDate", amount="amount", holdout_start="2010-09-01")
# ```
#
# Here a generated shop of the same shape stands in, so that this notebook runs anywhere: its customers buy as the
# model supposes (that flatters the forecast), several lines an invoice, and some things are returned.

# %%
random = np.random.default_rng(5)
shoppers = 1_500
rate = random.gamma(0.9, 1 / 9.0, shoppers)  # purchases a week
leaves = random.beta(0.7, 4.0, shoppers)  # chance to leave after a purchase
typical = random.gamma(6.0, 6.0, shoppers)  # money a line
lines = []
for shopper in range(shoppers):
    week = random.uniform(0, 26)
    while week < 104:
        day = pd.Timestamp("2024-01-01") + pd.Timedelta(days=int(week * 7))
        amounts = random.gamma(2.0, typical[shopper] / 2.0, random.integers(1, 5)).round(2)
        lines += [(f"C{shopper}", day, amount) for amount in amounts]
        if random.random() < 0.06:
            lines.append((f"C{shopper}", day + pd.Timedelta(days=3), -float(amounts[0])))
        if random.random() < leaves[shopper]:
            break
        week += random.exponential(1 / rate[shopper])
shop = pd.DataFrame(lines, columns=["customer", "day", "amount"])
len(shop), shop["amount"].lt(0).sum()

# %% [markdown]
# One call does it all: histories, choice of the model on held-out weeks, forecast, value; and says what to believe.

# %%
valued = value_transactions(shop, customer="customer", date="day", amount="amount", holdout_start="2025-07-01")
pd.DataFrame(valued.metrics["comparison"]["models"])[["title", "bias", "mae", "gini"]].round(3)

# %%
(
    valued.metrics["why_this_model"],
    [each["words"] for each in valued.metrics["guard_rails"].values() if each and "words" in each],
)

# %%
plots.plot_tracking(valued.backtest)

# %%
valued.table.sort_values("projected_value", ascending=False).head()
