# %% [markdown]
# # Galton's fathers
#
# Regression began with the heights of families in Francis Galton's notebook. Here are the 205 fathers, in inches: how tall is a
# father, and how surely do we know it?

# %%
import matplotlib.pyplot as plt
import torch

from ppgen import compare, datasets, diagram
from ppgen.inference import NUTS, SVI
from ppgen.models import Heights

data = datasets.load("galton-fathers")
heights = Heights(like=data.x)
diagram(heights, data.x)

# %% [markdown]
# Mean and precision have a normal-gamma law, before and after. Two engines find it without being told.

# %%
posteriors = {
    "svi": SVI(num_steps=1000, seed=0, progress=False).run(heights, data.x),
    "nuts": NUTS(num_samples=500, seed=0, progress=False).run(heights, data.x),
}
comparison = compare(posteriors, dataset=data)
comparison.table[["mean", "sd", "5%", "95%"]]

# %%
exact = heights.exact(data.x)
law = exact["posterior"]["loc"]
at = torch.linspace(68.5, 70.2, 300, dtype=torch.float64)
figure, axes = plt.subplots(figsize=(6, 3))
for name, posterior in posteriors.items():
    axes.hist(posterior.draws["loc"].flatten(), bins=40, density=True, histtype="step", label=name)
axes.plot(at, law.log_prob(at).exp(), color="black", label="exact")
axes.set(xlabel="mean height of a father, inches", ylabel="density")
axes.legend()

# %%
print(f"log evidence: exact {float(exact['log_evidence']):.3f}, by SVI {posteriors['svi'].log_evidence:.3f}")

# %% [markdown]
# Does a normal fit? Replicates of the data have a tallest father too.

# %%
tallest = posteriors["nuts"].predict()["x"].amax(-1)
print(f"the tallest of 205: {float(data.x.max())} inches, in replicates {float(tallest.mean()):.1f} +- {float(tallest.std()):.1f}")
print(f"a taller one in {100 * float((tallest >= data.x.max()).double().mean()):.0f} % of them")
