# %% [markdown]
# # An energy of the geyser's eruptions
#
# A network says how unlikely a pair of numbers is, up to a constant that nobody knows. Score matching learns it without that constant.

# %%
import matplotlib.pyplot as plt
import torch

from ppgen import datasets, diagram, sample
from ppgen.inference import NUTS, ScoreMatching
from ppgen.models import EnergyModel

x = datasets.load("old-faithful").x.float()
torch.manual_seed(0)
energy = EnergyModel(like=x, hidden=(32,))
diagram(energy, x)

# %%
fit = ScoreMatching(num_steps=800, progress=False).run(energy, x)
drawn = sample(fit.program.fn, 200, engine=NUTS(num_warmup=100, progress=False))["x"]

# %%
figure, axes = plt.subplots(figsize=(5, 3))
axes.scatter(*x.T, s=8, label="eruptions")
axes.scatter(*drawn.T, s=8, label="draws")
axes.set(xlabel="minutes of an eruption", ylabel="minutes to the next")
axes.legend()
