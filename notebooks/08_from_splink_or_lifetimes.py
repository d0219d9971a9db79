# %% [markdown]
# # From Splink or lifetimes to c360ml, and back
#
# You will learn how to take over a model that you trained in Splink or lifetimes, check that it says the same, see
# what c360ml adds, and go back if you want to.

# %%
import importlib.util
import json
import logging
import warnings
from pathlib import Path

import altair as alt
import duckdb
import numpy as np
import pandas as pd
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

from c360ml import (
    BgNbd,
    GammaGamma,
    LinkageModel,
    evaluate_clusters,
    purchase_history,
    standardize_records,
    write_world,
)

# %% [markdown]
# ## A model trained in Splink
#
# A table of people with columns as their owner calls them, and Splink's usual way: comparisons, blocking rules, EM.

# %%
write_world("company", customers=1000, seed=9)
people = pd.read_csv("company/extracts/dms/customers.csv", dtype=str).drop_duplicates("customer_id")
people = people[people["customer_id"].notna()].rename(columns={"customer_id": "Key", "first_name": "First Name"})
settings = SettingsCreator(
    link_type="dedupe_only",
    unique_id_column_name="Key",
    comparisons=[
        cl.JaroWinklerAtThresholds("First Name", [0.9]),
        cl.JaroWinklerAtThresholds("last_name", [0.9]).configure(term_frequency_adjustments=True),
        cl.LevenshteinAtThresholds("dob", [1]),
        cl.ExactMatch("email"),
        cl.ExactMatch("zip"),
    ],
    blocking_rules_to_generate_predictions=[block_on("last_name"), block_on("email"), block_on("dob")],
    probability_two_random_records_match=0.0005,
)
logging.getLogger("splink").setLevel(logging.ERROR)
linker = Linker(DuckDBAPI(duckdb.connect()).register(people), settings, log_level=None)
linker.training.estimate_u_using_random_sampling(max_pairs=1e5, seed=1)
linker.training.estimate_parameters_using_expectation_maximisation(block_on("zip"))
linker.training.estimate_parameters_using_expectation_maximisation(block_on("dob"))
theirs = linker.inference.predict(threshold_match_weight=-6, warning_mode="never").as_pandas_dataframe()
saved = linker.misc.save_model_to_json("splink_model.json", overwrite=True)
len(theirs)

# %% [markdown]
# Its JSON becomes a model of ours; `score` takes the same table. Nothing is learnt anew.

# %%
taken = LinkageModel.from_splink_settings("splink_model.json").score(people)
taken

# %% [markdown]
# Side by side: every pair has the same weight, term frequencies included.

# %%
both = theirs.rename(columns={"Key_l": "record_id_l", "Key_r": "record_id_r"}).merge(
    taken.predict(), on=["record_id_l", "record_id_r"], suffixes=("_splink", "_c360ml")
)
assert len(both) == len(theirs)
assert np.allclose(both["match_weight_splink"], both["match_weight_c360ml"], atol=1e-9, rtol=0)
alt.Chart(both.sample(min(800, len(both)), random_state=1)[["match_weight_splink", "match_weight_c360ml"]]).mark_circle(
    opacity=0.4
).encode(
    x=alt.X("match_weight_splink", title="match weight, Splink"),
    y=alt.Y("match_weight_c360ml", title="match weight, c360ml"),
).properties(title="The same model, the same weights", width=300, height=300)

# %% [markdown]
# What follows scores is ours: clusters by average linkage, waterfalls, evaluation, calibration. Beside it the model
# that c360ml fits by itself, which knows roles instead of SQL, and households.

# %%
true_ids = pd.read_parquet("company/labels/true_people.parquet")
true_ids = true_ids[true_ids["record_id"].str.startswith("dms:")]
true_ids["record_id"] = true_ids["record_id"].str.removeprefix("dms:")
records = standardize_records(
    people,
    id="Key",
    columns={
        "given_name": "First Name",
        "surname": "last_name",
        "suffix": "name_suffix",
        "email": "email",
        "phone": "home_phone",
        "date_of_birth": "dob",
        "address": "address_line1",
        "city": "city",
        "state": "state",
        "postcode": "zip",
    },
)
ours = LinkageModel().fit(records)
connected = linker.clustering.cluster_pairwise_predictions_at_threshold(
    linker.inference.predict(warning_mode="never"), threshold_match_probability=0.95
).as_pandas_dataframe()
connected = connected.rename(columns={"Key": "record_id"})[["record_id", "cluster_id"]]
measured = {
    "Splink's model, connected components at 0.95": evaluate_clusters(connected, true_ids),
    "Splink's model, our clusters": evaluate_clusters(taken.cluster(), true_ids),
    "our model, our clusters": evaluate_clusters(ours.cluster(), true_ids),
}
kinds = ["pairwise_precision", "pairwise_recall", "pairwise_f1", "b3_f1"]
pd.DataFrame({name: {kind: each[kind] for kind in kinds} for name, each in measured.items()}).T.round(4)

# %% [markdown]
# ## Back to Splink
#
# A model of two classes is what Splink knows; its settings run in Splink on the table that `fit` leaves.

# %%
con = duckdb.connect()
two = LinkageModel(classes="two").fit(records, con=con)
Path("for_splink.json").write_text(json.dumps(two.to_splink_settings()), "utf-8")
back = Linker(DuckDBAPI(con).register("linkage_features"), "for_splink.json", log_level=None)
again = back.inference.predict(threshold_match_weight=-6, warning_mode="never").as_pandas_dataframe()
names = con.sql("select rid, record_id from linkage_features").df().set_index("rid")["record_id"]
again = again.assign(record_id_l=again["rid_l"].map(names), record_id_r=again["rid_r"].map(names))
both = again.merge(two.predict(), on=["record_id_l", "record_id_r"], suffixes=("_splink", "_c360ml"))
assert np.allclose(both["match_weight_splink"], both["match_weight_c360ml"], atol=1e-9, rtol=0)
len(both)

# %% [markdown]
# ## A fitter of lifetimes
#
# CDNOW, fitted by lifetimes in weeks. Its words are `frequency`, `recency` (first to last purchase) and `T`.

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the archived package warns on today's pandas
    import lifetimes

folder = Path(importlib.util.find_spec("lifetimes").submodule_search_locations[0]) / "datasets"
sales = pd.read_csv(folder / "CDNOW_sample.txt", sep=r"\s+", names=["all_id", "id", "day", "items", "amount"])
sales["day"] = pd.to_datetime(sales["day"].astype(str), format="%Y%m%d")
history = purchase_history(sales, customer="id", date="day", amount="amount", observation_end="1997-09-30")
x, t_x, age = (history[name] for name in ("repeat_purchases", "first_to_last_purchase_weeks", "age_weeks"))
fitter, spender = lifetimes.BetaGeoFitter(), lifetimes.GammaGammaFitter()
repeat = history["repeat_purchases"].gt(0) & history["mean_spend"].gt(0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    fitter.fit(x, t_x, age)
    spender.fit(x[repeat], history.loc[repeat, "mean_spend"])

# %% [markdown]
# Taken over: the same parameters, and what lifetimes does not say well: errors, intervals, the likelihood in full.

# %%
taken = BgNbd.from_lifetimes(fitter, weeks_per_unit=1)
taken

# %%
fitted, spend = BgNbd().fit(history), GammaGamma().fit(history)
pd.DataFrame(
    {
        "lifetimes": {**fitter.params_, **spender.params_},
        "taken over": {**taken.params_, **GammaGamma.from_lifetimes(spender).params_},
        "fitted here": {**fitted.params_, **spend.params_},
    }
).round(4)

# %% [markdown]
# Side by side: purchases expected in the next 39 weeks.

# %%
sides = pd.DataFrame({"lifetimes": fitter.predict(39, x, t_x, age), "c360ml": taken.expected_purchases(39, history)})
assert np.allclose(sides["lifetimes"], sides["c360ml"], rtol=1e-7)
alt.Chart(sides.drop_duplicates().sample(400, random_state=1)).mark_circle(opacity=0.4).encode(
    x=alt.X("lifetimes", scale=alt.Scale(type="symlog"), title="expected purchases, lifetimes"),
    y=alt.Y("c360ml", scale=alt.Scale(type="symlog"), title="expected purchases, c360ml"),
).properties(title="The same parameters, the same forecast", width=300, height=300)

# %% [markdown]
# And back: a fitter of lifetimes with our parameters, for code that is built on it.

# %%
returned = fitted.to_lifetimes()
assert np.allclose(returned.predict(39, x, t_x, age), fitted.expected_purchases(39, history), rtol=1e-7)
returned.params_
