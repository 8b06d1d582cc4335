# %% [markdown]
# # Noise that remembers
#
# Add a little noise to a photograph, a thousand times over, and nothing is left of it. Each single step can be undone, if one knows what
# photographs look like; a network that has learned to undo them makes photographs out of noise.

# %%
import matplotlib.pyplot as plt
import torch

from ppgen import datasets, diagram, learn
from ppgen.inference import SVI, Langevin
from ppgen.models import DDIM, Ancestral, Diffusion, PredictorCorrector, ProbabilityFlow

torch.manual_seed(0)
geyser = datasets.load("old-faithful").x.float()
diffusion = Diffusion(like=geyser, weighting="simple", predict="velocity")
diagram(diffusion, geyser[:10])

# %% [markdown]
# It is a pair like any other: the model takes noise away, the guide adds it, and `path` holds all thousand steps of each datum. Learning
# needs no whole path, for one step of each datum, chosen at random, has an unbiased estimate of the bound; so no draws of it are kept.

# %%
engine = SVI(num_steps=1000, num_particles=1, batch_size=128, learning_rate=0.003, ema_decay=0.99, keep=(), progress=False)
fitted = learn(diffusion, geyser, engine=engine).fn
samplers = {
    "ancestral": Ancestral(),
    "DDIM": DDIM(50),
    "probability flow": ProbabilityFlow(),
    "corrected": PredictorCorrector(Langevin(progress=False), num_steps=200),
}
figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), sharex=True, sharey=True)
for ax, (name, sampler) in zip(axes, samplers.items(), strict=True):
    ax.plot(*geyser.T, ".", color="lightgrey", markersize=3)
    ax.plot(*fitted.draw(200, sampler).T, "C0.", markersize=3)
    ax.set(title=name, xlabel="eruption, minutes")
axes[0].set(ylabel="wait, minutes")

# %% [markdown]
# How probable is an eruption? The bound says at least how much; along the equation without noise the density itself can be integrated.

# %%
bound, density = fitted.elbo(geyser, num_particles=500), fitted.log_likelihood(geyser)
print(f"{bound.kind} {bound.value.mean():.2f}, {density.kind} {density.value.mean():.2f} nats an eruption")

# %% [markdown]
# ## What it has learned is a field
#
# At every level of noise the network knows the gradient of the log density of noisy data. With little noise it points to the nearest
# kind of eruption, with much of it to the middle of them all.

# %%
across, up = torch.meshgrid(torch.linspace(1, 6, 14), torch.linspace(35, 105, 14), indexing="ij")
at = torch.stack([across, up], -1).reshape(-1, 2)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
for ax, step in zip(axes, (100, 500), strict=True):
    field = fitted.score_at(at, step) * fitted.spread
    ax.plot(*geyser.T, ".", color="lightgrey", markersize=3)
    ax.quiver(across, up, *field.T, angles="xy", width=0.004)
    ax.set(title=f"step {step}", xlabel="eruption, minutes")

# %% [markdown]
# ## Digits, one asked for
#
# For images the network is a U-Net. Labels are a context; a tenth of them is hidden while it learns, so that it knows digits in general
# too, and a draw can be pushed away from those: guidance. Some hundreds of steps are enough to see which is which.

# %%
data = datasets.load("digits")
images = data.x.float() / 16
labels = torch.nn.functional.one_hot(torch.as_tensor(data.labels).long(), 10).float()
written = Diffusion(like=images, context=10, unconditional=0.1, schedule="cosine", weighting="simple", predict="velocity", num_steps=200)
engine = SVI(num_steps=600, num_particles=1, batch_size=64, learning_rate=0.003, ema_decay=0.98, keep=(), progress=False)
writer = learn(written, images, labels, engine=engine).fn
sheet = writer.draw(context=torch.eye(10).repeat(4, 1), sampler=DDIM(25), guidance=2.0)
figure, ax = plt.subplots(figsize=(8, 3.2))
ax.imshow(sheet.reshape(4, 10, 8, 8).permute(0, 2, 1, 3).reshape(32, 80).numpy(), cmap="Greys", vmin=0, vmax=1)
ax.set_axis_off()
