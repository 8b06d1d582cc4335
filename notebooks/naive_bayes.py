# %% [markdown]
# # A penguin on an island
#
# Islands are names, bills are millimetres, sex is one of two, and some of it was never written down. Naive Bayes takes each feature as
# what it is, one by one given the species.

# %%
import torch

from ppgen import datasets, diagram
from ppgen.inference import NUTS
from ppgen.models import NaiveBayes

penguins = datasets.load("penguins")
features = {"island": 3, "bill_length_mm": "normal", "body_mass_g": "normal", "sex": "bernoulli"}
data = {name: penguins.table[name] for name in features} | {"label": penguins.table["species"]}
bayes = NaiveBayes(3, features, like=data)
diagram(bayes, data)

# %% [markdown]
# What is missing drops out of the product, exactly. A penguin of which only the island is known is still more likely of one species.

# %%
nothing = torch.full((3,), torch.nan, dtype=torch.float64)
islands = dict.fromkeys(features, nothing) | {"island": torch.arange(3.0, dtype=torch.float64)}
for island, found in zip(penguins.states["island"], bayes.predictive(islands, data), strict=True):
    print(island, {s: round(float(p), 3) for s, p in zip(penguins.states["species"], found, strict=True)})

# %% [markdown]
# Is a feature worth having? Leave each out in turn, and count the penguins that are then taken for another species.


# %%
def wrong(names: list[str]) -> int:
    known = {name: data[name] for name in [*names, "label"]}
    classifier = NaiveBayes(3, {name: features[name] for name in names}, like=known)
    return int((classifier.predictive(known, known).argmax(-1) != data["label"]).sum())


print(f"with all of them: {wrong(list(features))} of {len(data['label'])} wrong")
for left_out in features:
    print(f"without {left_out}: {wrong([name for name in features if name != left_out])}")

# %% [markdown]
# Chains find what is known in closed form.

# %%
posterior = NUTS(num_samples=300, seed=0, progress=False).run(bayes, data)
exact = bayes.exact(data)["posterior"]["body_mass_g_loc"]
summary = posterior.summary().filter(like="body_mass_g_loc", axis=0)[["mean", "sd"]]
summary.assign(exact_mean=exact.mean.numpy(), exact_sd=exact.stddev.numpy())
