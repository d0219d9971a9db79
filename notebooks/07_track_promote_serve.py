# %% [markdown]
# # Track, promote, serve
#
# You will learn where each run is logged, how a new model has to beat the one that serves, how to see that the world
# has moved on, and how to put the scorer on the network and ask it, from Python and by HTTP.
#
# The commands are those of a terminal: `c360ml run --project company` and so on.

# %%
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import altair as alt
import mlflow
import pandas as pd

from c360ml import write_world


def c360ml(*words):
    """Run a command of the command line and show what it says; 1 is `promote` that refused."""
    plain = {**os.environ, "FORCE_COLOR": "", "COLUMNS": "110"}
    done = subprocess.run([sys.executable, "-m", "c360ml", *words], capture_output=True, text=True, env=plain)
    print(done.stdout[-4000:])
    assert done.returncode in (0, 1), done.stderr
    return done.returncode


# %% [markdown]
# ## Track
#
# A run on the command line also writes the report, logs to MLflow and registers the models. Nothing to set up:
# without `MLFLOW_TRACKING_URI` it is a database in the project's folder.

# %%
write_world("company", customers=300, seed=17)
c360ml("run", "--project", "company")

# %% [markdown]
# One parent run, with a child for each kind of work; counts and measures, never personal data.

# %%
mlflow.set_tracking_uri(f"sqlite:///{Path('company').resolve()}/mlruns/mlflow.db")
runs = mlflow.search_runs(search_all_experiments=True)
parent = runs[runs["tags.mlflow.parentRunId"].isna()].iloc[0] if "tags.mlflow.parentRunId" in runs else runs.iloc[-1]
measured = parent.filter(regex=r"^metrics\..*(precision|recall|f1)$").dropna()
measured.rename(lambda name: name.removeprefix("metrics.")).round(4)

# %%
runs["tags.mlflow.runName"].tolist()

# %% [markdown]
# Each registered model has a champion; the first version is it.

# %%
client = mlflow.MlflowClient()


def registered():
    return pd.DataFrame(
        [
            (model.name, alias, version)
            for model in client.search_registered_models()
            for alias, version in model.aliases.items()
        ],
        columns=["model", "alias", "version"],
    )


registered()

# %% [markdown]
# ## Promote
#
# A colleague likes Splink's two classes better and sets them. The next run registers challengers; the champions stay.

# %%
settings = Path("company/c360ml.toml")
before = settings.read_text("utf-8")
assert "[linkage]" not in before
settings.write_text(before + '\n[linkage]\nclasses = "two"\n', "utf-8")
c360ml("run", "--project", "company")
registered()

# %% [markdown]
# `promote` compares on the labels, on the backtests, and by what customers would notice (how many would change their
# master ID). What is worse is refused, with reasons; the exit code says so too.

# %%
refused = c360ml("promote", "c360-linkage", "--project", "company")
assert refused == 1
registered()

# %% [markdown]
# How different are the two runs? Every number of both is in MLflow.

# %%
runs = mlflow.search_runs(search_all_experiments=True)
parents = runs[runs["tags.mlflow.parentRunId"].isna()].sort_values("start_time")
shown = [name for name in measured.index if name.endswith("_f1")]
parents = parents.rename(columns={"tags.mlflow.runName": "run"})
both = parents[["run", *shown]].melt("run", var_name="measure", value_name="F1")
alt.Chart(both).mark_point(filled=True, size=80).encode(
    x=alt.X("F1", scale=alt.Scale(zero=False)),
    y=alt.Y("measure", title=None),
    color="run:N",
).properties(title="Latent classes, then two classes", width=380)

# %% [markdown]
# ## Drift
#
# Is the world still the one that the champion was made in? Sources, value frequencies, kinds of pairs, purchases and
# segments of the last run against the champion's; the answer is fine, source changed, or retrain.

# %%
c360ml("drift", "--project", "company")

# %% [markdown]
# ## Serve
#
# In Python, anywhere the folder was copied to, without the database: raw record in, customer out.

# %%
scorer = mlflow.pyfunc.load_model("company/models/c360-scorer")
known = (
    pd.read_csv("company/extracts/dms/customers.csv", dtype=str)
    .dropna(subset=["first_name", "last_name", "email"])
    .iloc[0]
)
record = {"given_name": known["first_name"], "surname": known["last_name"], "email": known["email"]}
answer = scorer.predict([record])
answer = answer.to_dict("records")[0] if isinstance(answer, pd.DataFrame) else answer[0]
answer = answer if isinstance(answer, dict) else answer.model_dump()
{name: answer[name] for name in ("master_id", "is_new", "match_probability", "clv", "rfm_segment", "value_tier")}

# %% [markdown]
# On the network: `c360ml serve`. Port 0 takes any that is free; the first line says where it is.

# %%
server = subprocess.Popen(
    [sys.executable, "-m", "c360ml", "serve", "--project", "company", "--port", "0"],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
)
first_line = server.stdout.readline()
url = first_line.split(" on ")[1].split(" ")[0]
first_line


# %%
def ask(path, content=None):
    """Ask the server; a content is posted as JSON."""
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(f"{url}{path}", data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


ask("/ready"), ask("/version")

# %%
served = ask("/resolve", record)
assert served["master_id"] == answer["master_id"]
{name: served[name] for name in ("master_id", "is_new", "match_probability", "clv", "rfm_segment", "value_tier")}

# %% [markdown]
# Why that customer? The waterfall comes with the answer.

# %%
pd.DataFrame(served["explanation"])[["step", "level", "weight", "match_weight"]].round(2)

# %% [markdown]
# What is wrong is refused with a reason, without an echo of the record.

# %%
try:
    ask("/resolve", {"surname": "Lee", "shoe_size": "44"})
except urllib.error.HTTPError as error:
    refusal = error.code, error.read().decode()
assert "44" not in refusal[1]
refusal

# %% [markdown]
# Stopped, it answers what it has begun and goes.

# %%
server.terminate()
server.wait(timeout=30)
server.stdout.close()
