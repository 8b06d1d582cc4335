# %% [markdown]
# # Ten thousand tosses
#
# John Kerrich, interned in Denmark in 1941, tossed a coin ten thousand times. Was it fair?

# %%
import matplotlib.pyplot as plt
import torch

from ppgen import datasets, diagram, formula, score
from ppgen.inference import SVI
from ppgen.models import CoinTosses

tosses = datasets.load("kerrich-coin").x
coin = CoinTosses(heads=1.0, tails=1.0)
diagram(coin, tosses)

# %%
formula(coin, tosses)

# %% [markdown]
# The posterior is known: a Beta with one more pseudo-toss for every toss seen. After few tosses it is wide, after many narrow. (The
# order of Kerrich's tosses is lost, so these are drawn from the 10,000 at random.)

# %%
shuffled = tosses[torch.randperm(len(tosses), generator=torch.Generator().manual_seed(0))]
at = torch.linspace(0.3, 0.7, 400, dtype=torch.float64)
figure, axes = plt.subplots(figsize=(6, 3))
for count in (10, 100, 1000, 10_000):
    law = coin.exact(shuffled[:count])["posterior"]["probability"]
    axes.plot(at, law.log_prob(at.float()).exp(), label=f"{count:,} tosses")
axes.axvline(0.5, color="grey", linewidth=0.8)
axes.set(xlabel="probability of heads", ylabel="density")
axes.legend()

# %% [markdown]
# A fair coin has no unknowns, so its evidence is its likelihood. Which of the two explains the tosses better, and by how much?

# %%
fair = len(tosses) * torch.tensor(0.5).log()
any_coin = coin.exact(tosses)["log_evidence"]
print(f"log evidence: fair {float(fair):.2f}, any coin {float(any_coin):.2f}; odds of {float((fair - any_coin).exp()):.0f} to 1 for fair")

# %% [markdown]
# An engine that knows nothing of Beta distributions finds the same: its evidence is within its Monte Carlo error of the exact one.

# %%
posterior = SVI(num_steps=800, seed=0, progress=False).run(coin, tosses)
print(f"log evidence by SVI {posterior.log_evidence:.2f}, k-hat {posterior.khat:.2f}")
posterior.summary()

# %%
score(posterior, tosses[:5])
