# %% [markdown]
# # The karate club that split
#
# Wayne Zachary watched a karate club for two years until a quarrel split it. Does the network of friendships tell who went where?

# %%
import math

import matplotlib.pyplot as plt
import networkx as nx
import torch

from ppgen import datasets, diagram, score
from ppgen.inference import SVI, Gibbs
from ppgen.models import StochasticBlockModel

club = datasets.load("karate").x
plain = StochasticBlockModel(2, like=club)
diagram(plain, club)

# %% [markdown]
# The plain block model sorts members by how many friends they have: a few hubs and the rest. Correcting for degrees it finds the
# factions. That is a published failure and its cure (Karrer & Newman, 2011).

# %%
corrected = StochasticBlockModel(2, like=club, kind="poisson", degree_corrected=True)
degrees = torch.tensor([club.degree(node) for node in club.nodes]).double()
side = torch.tensor([club.nodes[node]["club"] == "Officer" for node in club.nodes])
found = {}
for name, family in (("plain", plain), ("degrees corrected", corrected)):
    posterior = SVI(num_steps=300, num_samples=200, seed=0, progress=False).run(family, club)
    found[name] = community = posterior.identified().draws["community"][0].double().mean(0).round().bool()
    sizes = [int((community == k).sum()) for k in (False, True)]
    means = [round(float(degrees[community == k].mean()), 1) for k in (False, True)]
    print(f"{name}: groups of {sizes} members with {means} friends each")

# %% [markdown]
# And who is on the wrong side?

# %%
for name, community in found.items():
    apart = min((community ^ side).nonzero().flatten().tolist(), (community ^ ~side).nonzero().flatten().tolist(), key=len)
    print(f"{name}: {len(apart)} misplaced, {[list(club.nodes)[i] for i in apart]}")

# %%
figure, axes = plt.subplots(figsize=(5, 4))
places = nx.spring_layout(club, seed=3)
nx.draw_networkx(club, places, ax=axes, node_color=found["degrees corrected"].double(), cmap="coolwarm", node_size=140, font_size=7)
axes.set_axis_off()

# %% [markdown]
# The graph is one datum, and its score one number: here a lower bound on its log probability, by the learned guide. Does the club fall
# into two groups, or three? A guide keeps to one of the K! ways to name K communities, which is worth log K!.

# %%
for k in (1, 2, 3, 4):
    family = StochasticBlockModel(k, like=club, degree_corrected=True)
    found_k = score(SVI(num_steps=300, num_samples=1, seed=0, progress=False).run(family, club))
    print(f"K = {k}: {found_k.total + math.lgamma(k + 1):.1f} nats ({found_k.kind})")

# %% [markdown]
# The guide takes members one by one. Gibbs draws whole divisions: how sure is it that two members are on one side?

# %%
draws = Gibbs(num_warmup=300, num_samples=3000, num_chains=8, progress=False).run(corrected, club).draws["community"]
order = torch.argsort(side.int(), stable=True)
ordered = draws[..., order].flatten(0, 1)
together = torch.stack([(ordered == ordered[:, i : i + 1]).double().mean(0) for i in range(len(order))])
figure, axes = plt.subplots(figsize=(4, 3.5))
image = axes.imshow(together.numpy(), vmin=0, vmax=1, cmap="magma")
axes.set(title="in one community, by faction", xticks=[], yticks=[])
figure.colorbar(image)
