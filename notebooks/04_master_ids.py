# %% [markdown]
# # Master IDs that last: append a batch, see what changed, ask who a record is
#
# You will learn how new records come in every day, what happens to master IDs then, how to ask who somebody was on
# a past day, and how to resolve one record in milliseconds from a process of your own.

# %%
import time
from datetime import UTC, datetime
from pathlib import Path

import altair as alt
import pandas as pd

from c360ml import Lakehouse, run_pipeline, tables, write_world
from c360ml.identity import IdentityStore, build_index
from c360ml.identity.id_story import explain_id, explain_record
from c360ml.identity.ledger import identities_as_of
from c360ml.pipeline import append_files

# %% [markdown]
# A company whose dealer system sent most of its customers so far; the rest will come tomorrow.

# %%
write_world("company", customers=500, seed=13)
extract = Path("company/extracts/dms/customers.csv")
rows = pd.read_csv(extract, dtype=str)
later = rows.sample(frac=0.15, random_state=1).sort_index()
rows.drop(later.index).to_csv(extract, index=False)
later.to_csv("tomorrow.csv", index=False)
len(rows) - len(later), len(later)

# %% [markdown]
# The first run learns the model and gives every person an ID; `then=` builds the index for one record at a time,
# as `c360ml run` does.

# %%
first = run_pipeline("company", then=lambda lake, result: build_index(lake))
before = datetime.now(UTC)
first

# %% [markdown]
# ## Tomorrow
#
# `append_files` (on the command line `c360ml append tomorrow.csv --source dms`) links only what is new, changed or
# withdrawn, with the model as it is. The answer, to the last bit, is that of scoring everything at once with it.

# %%
second = append_files("company", ["tomorrow.csv"], source="dms", then=lambda lake, result: build_index(lake))
pd.Series(second.summary("link")["appended"], name="records")

# %% [markdown]
# What happened to master IDs? Every change is an event of a ledger that is never rewritten.

# %%
lake = Lakehouse("company")
lake.open(tables.IDENTITY_LEDGER)
events = lake.sql("""
    select run_id, event, count(*) as events
    from silver.identity_ledger where event <> 'golden_changed' group by all order by run_id, event
""").df()
alt.Chart(events).mark_bar().encode(
    x=alt.X("events", title="events"),
    y=alt.Y("event", title=None),
    color=alt.Color("run_id", title="run"),
    tooltip=list(events),
).properties(title="What happened to master IDs, by run", width=420)

# %% [markdown]
# An ID outlives the batch: of all records that were there before, how many have the ID that they had?

# %%
lake.open(tables.IDENTITIES)
was = identities_as_of(lake, before).df().set_index("record_id")["master_id"]
now = lake.sql("select record_id, master_id from silver.identities").df().set_index("record_id")["master_id"]
kept = (now.reindex(was.index) == was).mean()
assert kept > 0.95
kept

# %% [markdown]
# The story of an ID that changed: when, in which run, by which link. `c360ml id explain ID` prints the same.

# %%
joined = lake.sql("""
    select master_id, record_id from silver.identity_ledger where event = 'joined'
    order by happened_at desc, event_id limit 1
""").fetchall()[0]
explain_id(lake, joined[0])

# %% [markdown]
# And of a record, as of a moment: training on the past never sees the future.

# %%
explain_record(lake, joined[1], as_of=before.isoformat())

# %%
lake.close()

# %% [markdown]
# ## One record at a time
#
# The identity store answers from any number of processes while one writes. A raw record goes in, as its source has
# it.

# %%
known = rows.drop(later.index).dropna(subset=["first_name", "last_name", "email"]).iloc[0]
ask = {"given_name": known["first_name"], "surname": known["last_name"], "email": known["email"]}
store = IdentityStore("company", writable=True)
answer = store.resolve(ask)
answer

# %% [markdown]
# How fast? Each question is standardized, blocked, compared and weighed as the batch does it.

# %%
times = []
for _ in range(200):
    began = time.perf_counter()
    store.resolve(ask)
    times.append((time.perf_counter() - began) * 1000)
alt.Chart(pd.DataFrame({"milliseconds": times})).mark_bar().encode(
    x=alt.X("milliseconds", bin=alt.Bin(maxbins=30), title="milliseconds per question"),
    y=alt.Y("count()", title="questions"),
).properties(title=f"Median {sorted(times)[100]:.1f} ms", width=420, height=160)

# %% [markdown]
# Somebody new signs up on the web site. `upsert` gives her an ID, on disk when it returns; the next question finds
# her.

# %%
ann = {"given_name": "Ann", "surname": "Quillfeather", "email": "ann@quillfeather.example"}
new = store.upsert(ann, source="web", source_key="42")
assert new.is_new
again = store.resolve({"full_name": "Quillfeather, Ann", "email": "ann@quillfeather.example"})
assert again.master_id == new.master_id
again

# %%
store.close()

# %% [markdown]
# The next run lands what was upserted, and she keeps her ID.

# %%
run_pipeline("company", then=lambda lake, result: build_index(lake))
with Lakehouse("company") as lake:
    lake.open(tables.IDENTITIES)
    assert lake.one("select master_id from silver.identities where record_id = 'web:42'") == new.master_id
