# %% [markdown]
# # A visit to Asia
#
# A patient is short of breath. Is it tuberculosis, lung cancer or bronchitis? Lauritzen and Spiegelhalter made up this network in 1988
# to show how evidence spreads through causes and signs.

# %%
import torch

from ppgen import datasets, diagram, sample, structure
from ppgen.inference import Enumeration
from ppgen.models import BayesianNetwork

asia = BayesianNetwork.from_bif(datasets.load("asia").x)
nobody = {"asia": torch.tensor([-1])}  # one patient of whom nothing is known
diagram(asia, nobody, detail="minimal")

# %% [markdown]
# Every query is answered exactly, by elimination.

# %%
diseases = ["tub", "lung", "bronc"]
for evidence in ({}, {"dysp": "yes"}, {"dysp": "yes", "asia": "yes"}, {"dysp": "yes", "asia": "yes", "xray": "no"}):
    found = asia.query(diseases, evidence)
    print(evidence or "nothing known", {name: round(found[name]["yes"], 4) for name in diseases})

# %% [markdown]
# Two causes of one sign compete: to learn of the one makes the other less likely, though neither causes the other.

# %%
graph = structure(asia, nobody)
print("independent:", graph.d_separated("tub", "lung"), "; given the X-ray:", graph.d_separated("tub", "lung", given="xray"))
print(asia.query(["lung"], {"xray": "yes"})["lung"]["yes"], asia.query(["lung"], {"xray": "yes", "tub": "yes"})["lung"]["yes"])

# %% [markdown]
# To see a smoker and to make one are two things where there are causes in common. Here nothing causes smoking, so they agree; to clear
# an X-ray from outside, on the other hand, cures nobody.

# %%
print(
    "seen clear:",
    asia.query(["lung"], {"xray": "no"})["lung"]["yes"],
    "; made clear:",
    asia.do({"xray": "no"}).query(["lung"], {})["lung"]["yes"],
)

# %%
asia.mpe({"dysp": "yes", "smoke": "yes"})

# %% [markdown]
# It is a program like any other: engines run on it, and tables can be learned from patients.

# %%
patients = sample(asia, 500, seed=0)
learned = BayesianNetwork.from_bif(datasets.load("asia").x, prior=1.0)
posterior = learned.exact(patients)["posterior"]["bronc_table"]
print(
    "bronchitis of those who do not smoke and of those who do:",
    posterior.mean[..., 0].tolist(),
    "in truth",
    asia.table("bronc")[..., 0].tolist(),
)

# %%
draws = Enumeration(num_samples=1000, seed=0).run(asia, {"dysp": torch.tensor([0])}).draws
{name: round(float((draws[name] == 0).double().mean()), 2) for name in diseases}
