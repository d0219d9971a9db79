# %% [markdown]
# # Link a table of people, and read the evaluation
#
# Give roles to columns; blocking, comparisons and threshold follow from roles and data.

# %%
import altair as alt
import pandas as pd

from c360ml import LinkageModel, evaluate_clusters, standardize_records, write_world

# %%
write_world("company", customers=1200, seed=5)
people = pd.read_csv("company/extracts/dms/customers.csv", dtype=str).drop_duplicates("customer_id")
people = people[people["customer_id"].notna()]
people.head()

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
model = LinkageModel().fit(records)
pairs = model.predict()
pairs.sort_values("match_weight", ascending=False).head()

# %% [markdown]
# What the file holds: kinds of pairs, learnt without labels.

# %%
pd.Series(model.summary()["pairs_by_class"]).round()

# %% [markdown]
# Why are two records one person? Each comparison adds its weight (log2 odds).

# %%
linked = pairs[pairs["match_probability"] > 0.5].iloc[0]
steps = pd.DataFrame(model.explain(linked["record_id_l"], linked["record_id_r"]))
alt.Chart(steps[:-1]).mark_bar().encode(
    x=alt.X("weight", title="match weight, log2"),
    y=alt.Y("step", sort=None, title=None),
    color=alt.condition("datum.weight > 0", alt.value("#2a9d8f"), alt.value("#e76f51")),
    tooltip=["step", "level", "weight"],
).properties(title=f"Match weight {steps.iloc[-1]['match_weight']:.1f}", width=420)

# %% [markdown]
# How right is it? Pairwise counts pairs; B-cubed averages over records.

# %%
true_ids = pd.read_parquet("company/labels/true_people.parquet")
true_ids = true_ids[true_ids["record_id"].str.startswith("dms:")]
true_ids["record_id"] = true_ids["record_id"].str.removeprefix("dms:")
measures = evaluate_clusters(model.cluster(), true_ids)
assert measures["b3_f1"] > 0.9
measures
