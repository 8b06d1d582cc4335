# %% [markdown]
# # Which penguin?
#
# Discriminant analysis is a story: first comes the species, then bill and flipper, normal around the mean of the species. Read
# backwards it is a classifier, and everything in it is known in closed form.

# %%
import matplotlib.pyplot as plt
import torch

from ppgen import datasets, diagram
from ppgen.inference import NUTS
from ppgen.models import GaussianClassifier

penguins = datasets.load("penguins")
table = penguins.table
rows = torch.stack([table["bill_length_mm"], table["flipper_length_mm"]], 1)
whole = rows.isfinite().all(1)  # two penguins were not measured
x, species = rows[whole], table["species"][whole]
data = {"x": x, "label": species}
tied = GaussianClassifier(3, like=x, covariance="tied")
diagram(tied, data)

# %% [markdown]
# Linear or quadratic? One covariance for all species gives straight borders, one each curved ones; without correlations it is naive
# Bayes. The evidence weighs them, exactly.

# %%
families = {c: GaussianClassifier(3, like=x, covariance=c) for c in ("tied", "full", "diagonal")}
for name, family in families.items():
    right = (family.predictive(x, data).argmax(-1) == species).double().mean()
    print(f"{name:>8}: log evidence {float(family.exact(data)['log_evidence']):.1f}, {100 * float(right):.1f} % of these penguins right")

# %%
grid = torch.stack(torch.meshgrid(torch.linspace(30, 62, 120), torch.linspace(168, 236, 120), indexing="ij"), -1).double()
figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), sharey=True)
for axes, (name, family) in zip(panels, families.items(), strict=True):
    sure = family.predictive(grid.reshape(-1, 2), data).reshape(120, 120, 3)
    axes.contourf(grid[..., 0], grid[..., 1], sure.argmax(-1), levels=[-0.5, 0.5, 1.5, 2.5], alpha=0.25)
    axes.contour(grid[..., 0], grid[..., 1], sure.amax(-1), levels=[0.9], colors="grey", linewidths=0.7)
    axes.scatter(x[:, 0], x[:, 1], c=species, s=6)
    axes.set(title=name, xlabel="bill, mm")
panels[0].set_ylabel("flipper, mm")

# %% [markdown]
# Labels are dear. With those of one penguin in twenty, the others' measurements still say where the clusters are: the missing labels
# are summed out.

# %%
known = torch.arange(len(x)) % 20 == 0
few = {"x": x, "label": species, "mask": known}
posterior = NUTS(num_samples=300, seed=0, progress=False).run(tied, few)
values = {n: posterior.draws[n].flatten(0, 1) for n in ("weights", "precision", "slope", "loc")}
semi = tied.probabilities(x, values).mean(0)
alone = tied.predictive(x, {"x": x[known], "label": species[known]})
for name, found in (("labelled alone", alone), ("and the others", semi)):
    right = (found.argmax(-1) == species)[~known].double().mean()
    print(f"{name}: {100 * float(right):.1f} % right of the penguins without a label")
