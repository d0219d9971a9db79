# %% [markdown]
# # Link a table of people, and read the evaluation
#
# You will learn how to link any table of yours (which rows are one person?), what the model found out about it, and
# how to read an evaluation.

# %%
import pandas as pd

from c360ml import LinkageModel, standardize_records, write_world
from c360ml.dashboards.pair_plots import plot_reliability, plot_waterfall

# %% [markdown]
# A dealer's customer file: one person may be there twice or more. Yours may be a CSV, a data frame, an Arrow table.

# %%
write_world("company", customers=1200, seed=5)
people = pd.read_csv("company/extracts/dms/customers.csv", dtype=str).drop_duplicates("customer_id")
people = people[people["customer_id"].notna()]
people.head()

# %% [markdown]
# Say what the columns are; that is all. Names, telephone numbers, dates and addresses are brought into one form.

# %%
records = standardize_records(
    people,
    id="customer_id",
    columns={
        "given_name": "first_name",
        "middle_name": "middle_initial",
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
records.head()

# %% [markdown]
# Blocking, comparisons and threshold follow from roles and data; no labels, no tuning. The fitted model shows
# what the file holds (kinds of pairs, learnt without labels), and what agreement weighs.

# %%
model = LinkageModel().fit(records)
model

# %% [markdown]
# What can and what cannot be trusted in the fit is said in words.

# %%
pd.DataFrame(model.fit_report())

# %% [markdown]
# Scored pairs, and clusters: the cluster is the person.

# %%
pairs = model.predict()
pairs.sort_values("match_weight", ascending=False).head()

# %%
clusters = model.cluster()
clusters.groupby("cluster_id").size().value_counts().rename_axis("records of a person").rename("people")

# %% [markdown]
# Why are two records one person? Each comparison adds its weight (log2 odds): 1 more doubles the odds.

# %%
linked = pairs[pairs["match_probability"] > 0.5].iloc[0]
plot_waterfall(model.explain(linked["record_id_l"], linked["record_id_r"]))

# %% [markdown]
# How right is it? With true ids (of a sample, if that is all you have) the evaluation says it with intervals.
# Pairwise counts pairs; B-cubed averages over records, so that a large cluster does not outweigh the others.

# %%
true_ids = pd.read_parquet("company/labels/true_people.parquet")
true_ids = true_ids[true_ids["record_id"].str.startswith("dms:")]
true_ids["record_id"] = true_ids["record_id"].str.removeprefix("dms:")
evaluation = model.evaluate(true_ids)
assert evaluation["b3_f1"] > 0.9
evaluation

# %% [markdown]
# Are the probabilities what they say? Of pairs scored 0.9, nine in ten should be one person.

# %%
plot_reliability(evaluation)

# %% [markdown]
# Which mistakes are left? By kind, most frequent first; the examples are keys to look up.

# %%
columns = ["kind", "meaning", "pairs", "share"]
pd.DataFrame(evaluation["errors"]["false_merges"])[columns]

# %%
pd.DataFrame(evaluation["errors"]["missed_links"])[columns]
