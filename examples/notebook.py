# %% [markdown]
# # From a log to lists, in Python
#
# Every command of `diffrec` is a function of `diffrec_cli.workflows`. Open this file as a notebook
# (VS Code and Jupytext read its cells) or run it: `python notebook.py`. It takes some seconds. All
# its files are in a directory of its own, which is removed at the end.

# %%
"""From a log to lists, in Python."""

import os
import tempfile
from pathlib import Path

import pandas as pd

from diffrec_cli import workflows
from diffrec_cli.data.sources.sample import SampleOptions, write_sample

directory = tempfile.TemporaryDirectory(prefix="diffrec-")  # gone with the last cell
os.environ["DIFFREC_HOME"] = directory.name

# %% [markdown]
# ## A log
# This one is made here. Yours is a CSV or Parquet file of users, items and, if you have them,
# ratings and times.

# %%
options = SampleOptions(users=500, items=300, interactions=15_000)
log, items = write_sample(Path(directory.name) / "shop.csv", options)
pd.read_csv(log).head()

# %% [markdown]
# ## Prepare and fit
# The log is split into train, valid and test once. Every model is fitted on the same parts.

# %%
prepared = workflows.prepare([log], items=items)
print(prepared.line)

# %%
fitted = workflows.fit(prepared.dataset.name, variant="t", values={"epochs": 100})
print(f"{fitted.model}: best in epoch {fitted.training.epoch} of {fitted.training.epochs}")

# %% [markdown]
# ## Is it worth it?
# The differences are tested over users, in pairs. A small p means that chance does not explain one.

# %%
evaluated = workflows.evaluate([fitted.model], baselines=["pop", "ease"])
table = pd.json_normalize(evaluated.to_dict()["results"]).set_index("model")
print(table.filter(like="@20").join(table.filter(like="p_value")).round(4))

# %% [markdown]
# ## Lists
# An Arrow table: pandas, Polars and DuckDB read it without a copy of the numbers.

# %%
lists = workflows.recommend(fitted.model, users=["u0042", "u0007"], k=3, titles=True).table()
print(lists.to_pandas())

# %%
# An unseen user, by what they like.
liked = lists["item"].to_pylist()[:2]
newcomer = workflows.recommend(fitted.model, like=liked, k=3, titles=True).table()
print(newcomer.to_pandas())

# %% [markdown]
# ## Similar items

# %%
similar = workflows.similar(liked[:1], fitted.model, k=3, titles=True)
print(similar.table.to_pandas())

# %%
directory.cleanup()
