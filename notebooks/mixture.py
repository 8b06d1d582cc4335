# %% [markdown]
# # The first mixture
#
# In 1894 Karl Pearson took the foreheads of a thousand crabs from Naples, saw that they were skewed, and asked whether there were two
# kinds of crab. It cost him an equation of the ninth degree.

# %%
import matplotlib.pyplot as plt
import pyro.distributions as dist
import torch

from ppgen import datasets, diagram
from ppgen.inference import NUTS, SVI
from ppgen.models import GaussianMixture, MixtureOf

crabs = datasets.load("crabs-1894").x
mixture = GaussianMixture(2, like=crabs)
diagram(mixture, crabs)

# %%
posterior = NUTS(num_samples=300, target_accept_prob=0.95, seed=0, progress=False).run(mixture, crabs).identified()
posterior.summary().filter(regex="weights|loc|scale", axis=0)

# %% [markdown]
# The labels of the two components are of no meaning, so chains may disagree on them; `identified()` puts them in order. Pearson's
# answer, from the first five moments, was .42 of the crabs at a mean of .631 and .58 at .655.

# %%
values = {n: v.flatten(0, 1)[::20] for n, v in posterior.draws.items() if n in ("weights", "loc", "scale")}
at = torch.linspace(float(crabs.min()), float(crabs.max()), 200, dtype=torch.float64)
densities = mixture.components(values).log_prob(at[:, None]).exp()  # (points, draws)
figure, axes = plt.subplots(figsize=(6, 3))
axes.hist(crabs, bins=29, density=True, color="lightgrey")
axes.plot(at, densities, color="C0", alpha=0.08)
axes.set(xlabel="forehead over body length", ylabel="density")

# %% [markdown]
# Two features and full covariance: Old Faithful erupts in two ways. A tied covariance says that both have the same spread; the
# evidence says which of the two to believe.

# %%
geyser = datasets.load("old-faithful").x
for covariance in ("full", "tied"):
    fitted = SVI(num_steps=1500, seed=0, progress=False).run(GaussianMixture(2, like=geyser, covariance=covariance), geyser)
    print(f"{covariance}: log evidence about {fitted.log_evidence:.1f}, up to the labels' log 2! (k-hat {fitted.khat:.2f})")

# %% [markdown]
# A component may be any distribution: counts of two kinds of days.

# %%
days = torch.poisson(torch.tensor([3.0, 11.0])[torch.arange(60) % 2], generator=torch.Generator().manual_seed(0))
counts = MixtureOf(2, dist.Poisson, {"rate": dist.Gamma(2.0, 0.2)})
SVI(num_steps=800, seed=0, progress=False).run(counts, days).identified().summary().filter(regex="rate|weights", axis=0)
