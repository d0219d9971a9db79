# %% [markdown]
# # Understand a match, choose a threshold, review pairs
#
# You will learn to read why two records are, or are not, one person; how a cluster holds together; which threshold
# to ask for; and how people who know better decide pairs, which the next run obeys and learns from.

# %%
from pathlib import Path

import pandas as pd

from c360ml import Config, Lakehouse, LinkageModel, run_pipeline, tables, write_world
from c360ml.dashboards.pair_plots import plot_thresholds, plot_waterfall
from c360ml.linkage.review_answers import read_answers
from c360ml.linkage.review_queue import review_queue, write_queue
from c360ml.linkage.thresholds import choose_threshold, review_band, threshold_by_cost

# %% [markdown]
# A small company after its first run. Its standardized records are the table that the model sees.

# %%
write_world("company", customers=500, seed=7)
run_pipeline("company")

# %%
with Lakehouse("company") as lake:
    lake.open(tables.RECORDS)
    records = lake.sql("from silver.records").df()
model = LinkageModel().fit(records)
pairs = model.predict()
clusters = model.cluster()
len(records), len(pairs), clusters["cluster_id"].nunique()

# %% [markdown]
# ## Two records
#
# A pair that is linked. The prior is against it (two records drawn from the file are hardly ever one person); each
# comparison adds or takes weight. A rare surname adds more than a common one: see the levels.

# %%
linked = pairs[pairs["match_weight"].between(10, 14)].sort_values(["match_weight", "record_id_l"]).iloc[-1]
steps = model.explain(linked["record_id_l"], linked["record_id_r"])
plot_waterfall(steps)

# %% [markdown]
# Two people of one household share surname, address and perhaps telephone number. The model has a class for
# that: the same agreement that speaks for one person speaks for one household, so that it decides little.

# %%
home = pairs[(pairs["household_probability"] > 0.9) & (pairs["match_probability"] < 0.1)].sort_values(
    ["match_weight", "record_id_l"], ascending=[False, True]
)
relatives = home.iloc[len(home) // 3]
steps = model.explain(relatives["record_id_l"], relatives["record_id_r"])
assert steps[-1]["level"] == "household"
plot_waterfall(steps)

# %%
pd.DataFrame(steps)[["step", "level", "weight", "person_weight", "household_weight"]].round(2)

# %% [markdown]
# ## A cluster
#
# Records are merged one after another while the mean weight between the parts says one person: no single weak
# bridge joins two people. What was cut off, and why, is told too.

# %%
largest = clusters.groupby("cluster_id").size().sort_values(ascending=False, kind="stable").index[0]
held = model.explain_cluster(largest)
pd.DataFrame(held["merges"])

# %%
ends = held["record_ids"][0], held["record_ids"][-1]
path = model.explain_path(*ends)
path["joined"], pd.DataFrame(path.get("path", []))

# %% [markdown]
# ## A threshold
#
# The probabilities are calibrated, so expected precision and recall are known at every threshold, without labels.

# %%
counts = model.pair_counts()
plot_thresholds(counts)

# %% [markdown]
# Ask for a precision, or say what errors cost: sending a customer's data to a stranger may cost ten times as much as
# writing to somebody twice. What is chosen goes to `[linkage]` in `c360ml.toml`, or to `LinkageModel(threshold=...)`.

# %%
choices = [
    choose_threshold(counts, target_precision=0.99),
    choose_threshold(counts, target_precision=0.95),
    threshold_by_cost(counts, false_merge_cost=10, missed_merge_cost=1),
]
pd.DataFrame([vars(choice) for choice in choices])[
    ["why", "probability", "pairs", "expected_precision", "expected_recall"]
]

# %%
band = review_band(counts, target_precision=0.99)
band

# %% [markdown]
# ## Review
#
# `c360ml review` writes the pairs most worth a person's time, most doubtful and most costly first, a quarter of them
# drawn at random: those tell what the probabilities mean. Here is the queue (it shows personal data: keep it in
# the project).

# %%
config = Config.load(Path("company/c360ml.toml"))
with Lakehouse("company") as lake:
    queue = review_queue(lake, config, pairs=24)
    file = write_queue(lake, queue, lake.folder / "labels" / "to_review.csv")
queue.counts

# %%
asked = pd.read_csv(file, dtype=str)
asked[["record_id_l", "record_id_r", "match_probability", "why"]].head()

# %% [markdown]
# A reviewer opens `labels/to_review.html` or fills the column `decision`. Ours knows the truth of this world, which a
# reviewer of yours finds out by a telephone call.

# %%
person = pd.read_parquet("company/labels/true_people.parquet").set_index("record_id").iloc[:, 0]
same = person.reindex(asked["record_id_l"]).to_numpy() == person.reindex(asked["record_id_r"]).to_numpy()
asked["decision"] = pd.Series(same).map({True: "match", False: "non-match"})
asked.to_csv("company/labels/decided.csv", index=False)
asked["decision"].value_counts()

# %% [markdown]
# Taken in, the decisions bind: a match always joins, a non-match always parts. The answer says what will change.

# %%
with Lakehouse("company") as lake:
    answers = read_answers(lake, config, lake.folder / "labels" / "decided.csv")
{name: value for name, value in vars(answers).items() if name != "file"}

# %%
after = run_pipeline("company")
with Lakehouse("company") as lake:
    lake.open(tables.IDENTITIES)
    master = lake.sql("select record_id, master_id from silver.identities").df().set_index("record_id")["master_id"]
together = master.reindex(asked["record_id_l"]).to_numpy() == master.reindex(asked["record_id_r"]).to_numpy()
assert (together == same).all()
{name: round(value, 4) for name, value in after.evaluation.items() if name.startswith("b3")}
