# %% [markdown]
# # Digits from hidden switches
#
# A restricted Boltzmann machine of 16 hidden units learns black-and-white digits by persistent contrastive divergence. With so few
# hidden units its log Z is exact.

# %%
import matplotlib.pyplot as plt
import torch

from ppgen import datasets
from ppgen.inference import ContrastiveDivergence
from ppgen.models import BoltzmannMachine

x = (datasets.load("digits").x[::4].float().flatten(1) > 8).float()
torch.manual_seed(0)
machine = BoltzmannMachine(num_hidden=16, like=x)

# %%
fit = ContrastiveDivergence(num_steps=300, progress=False).run(machine, x)

# %%
figure, axes = plt.subplots(2, 8, figsize=(8, 2))
for weights, axis in zip(fit.program.fn.weight.detach().reshape(64, 16).T, axes.flat, strict=False):
    axis.imshow(weights.reshape(8, 8).tolist(), cmap="gray")
    axis.axis("off")
