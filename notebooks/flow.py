# %% [markdown]
# # A density that bends
#
# A normalizing flow sends a normal law through an invertible network. Its density is known exactly, whatever shape it takes.

# %%
import math

import matplotlib.pyplot as plt
import pyro
import pyro.distributions as dist
import torch
from sklearn.datasets import load_digits

from ppgen import datasets, diagram, learn, neutra, sample, score
from ppgen.inference import NUTS, SVI
from ppgen.models import FlowGuide, NormalizingFlow

torch.manual_seed(0)
geyser = datasets.load("old-faithful").x.float()
train, held_out = geyser[torch.arange(272) % 5 != 0], geyser[::5]
flow = NormalizingFlow(like=train, kind="realnvp", transforms=4, hidden=(32, 32))
diagram(flow, train)

# %% [markdown]
# It begins as independent normals with the data's location and scale. A few hundred steps bend it into two kinds of eruption; many
# more, and it would know the training rows by heart.

# %%
fitted = learn(flow, train, engine=SVI(num_steps=300, num_particles=1, num_samples=1, learning_rate=0.005, progress=False))
before, after = (score(f, held_out) for f in (flow, fitted))
print(f"nats for each held-out eruption: {before.value.mean():.2f} at the start, {after.value.mean():.2f} learned ({after.kind})")

# %%
across, up = torch.meshgrid(torch.linspace(1, 6, 120), torch.linspace(35, 105, 120), indexing="ij")
density = fitted.fn.exact(torch.stack([across, up], -1).reshape(-1, 2))["log_density"]().exp().reshape(120, 120)
figure, axes = plt.subplots(figsize=(5, 3.5))
axes.contourf(across, up, density, levels=20, cmap="Blues")
axes.plot(*held_out.T, "k.", markersize=3)
axes.set(xlabel="eruption, minutes", ylabel="wait, minutes")

# %% [markdown]
# ## Images
#
# Grey levels are no numbers on a line: a density could be as high as it likes at 17 points. Spread over their bins by uniform noise
# they have an honest one, whose mean over the noise is a lower bound of the probability of an image: bits that would be needed to store it.

# %%
digits = torch.as_tensor(load_digits().images / 16, dtype=torch.float32)[:, None]  # (1797, 1, 8, 8)
images = NormalizingFlow(like=digits, kind="realnvp", transforms=4, hidden=(96, 96), logit=0.05, levels=17)
engine = SVI(num_steps=300, num_particles=1, num_samples=1, batch_size=200, learning_rate=0.002, keep=[], progress=False)
drawn = learn(images, digits, engine=engine)
bound = score(drawn, digits[:100], method="elbo", num_particles=20)
print(f"at most {drawn.fn.bits_per_dimension(bound.value).mean():.2f} bits for each number, of {math.log2(17):.2f} without a model")
sheet = sample(drawn, 40)["x"].reshape(4, 10, 8, 8).permute(0, 2, 1, 3).reshape(32, 80)
figure, axes = plt.subplots(figsize=(8, 3.2))
axes.imshow(sheet.numpy(), cmap="Greys")
axes.set_axis_off()

# %% [markdown]
# ## A law to guide by
#
# Neal's funnel is hard on samplers: what is wide at one end is narrow at the other. A flow fitted to it as a guide says where it lies,
# and in the flow's coordinates it is a round normal.


# %%
def funnel() -> None:
    v = pyro.sample("v", dist.Normal(0.0, 3.0))
    pyro.sample("x", dist.Normal(torch.zeros(9), (v / 2).exp()).to_event(1))


guided = SVI(guide=FlowGuide(), num_steps=1000, num_particles=32, learning_rate=0.005, progress=False).run(funnel)
plain = SVI(guide="normal", progress=False).run(funnel)
print(f"k-hat of independent normals {plain.khat:.2f}, of the flow {guided.khat:.2f}")

# %%
through = NUTS(progress=False).run(neutra(guided))
through.summary().filter(regex="^v|^x", axis=0)
