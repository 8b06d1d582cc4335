# %% [markdown]
# # Coriolanus, a letter at a time
#
# Shannon wrote English by machine in 1948: take the last few letters, see what has followed them before, draw the next. How many letters
# back should one look?

# %%
import matplotlib.pyplot as plt
import pyro
import torch

from ppgen import datasets, diagram, sample
from ppgen.models import NGram

play = datasets.load("coriolanus")
lines = play.x
letters = play.states["letter"]
diagram(NGram(order=1, like=lines), lines)

# %% [markdown]
# Every order is a table of Dirichlet rows, so evidence is exact. It weighs what a longer memory explains against the rows that it has
# to learn: with 120 lines it is not worth looking far.

# %%
evidence = {}
for order in range(4):
    family = NGram(order=order, like=lines, concentration=0.1)
    evidence[order] = float(family.exact(lines)["log_evidence"])
    print(f"{order} letters back: log evidence {evidence[order]:.0f} nats, {evidence[order] / float(lines['lengths'].sum()):.3f} a letter")

# %%
figure, axes = plt.subplots(figsize=(5, 3))
axes.plot(list(evidence), list(evidence.values()), marker="o")
axes.set(xlabel="letters back", ylabel="log evidence, nats", xticks=list(evidence))

# %% [markdown]
# Tables at their posterior mean write lines of their own.


# %%
def write(order: int, count: int = 3) -> None:
    family = NGram(order=order, like=lines, concentration=0.1, length=50)
    held = {site: law.mean.float() for site, law in family.exact(lines)["posterior"].items()}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        drawn = pyro.poutine.condition(family.model, data=held)(size=count)
    for row in drawn.long():
        print(order, "".join(letters[i] for i in row).replace("_", " "))


for order in (0, 1, 2):
    write(order)

# %% [markdown]
# Lines before anything was read, drawn from the prior, are of no language at all.

# %%
for row in sample(NGram(order=1, like=lines, length=50), 2, seed=0)["x"].long():
    print("".join(letters[i] for i in row).replace("_", " "))
