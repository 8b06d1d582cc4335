# %% [markdown]
# # Digits from a few numbers
#
# A variational autoencoder is two networks that face each other: the decoder makes an image of a few latent numbers, the encoder says
# which numbers may have made an image. Here are 1797 digits of 8 by 8 pixels, in grey levels from 0 to 16.

# %%
import matplotlib.pyplot as plt
import torch

from ppgen import datasets, diagram, inference_gaps, learn, sample, score
from ppgen.inference import NUTS, SVI
from ppgen.models import VariationalAutoencoder

digits = datasets.load("digits")
images, labels = digits.x.float(), digits.labels
train, test = images[:1437], images[1437:]


def sheet(rows: torch.Tensor, columns: int = 16) -> None:
    """Images (N, 1, 8, 8) side by side."""
    height = -(-len(rows) // columns)
    _, axes = plt.subplots(height, columns, figsize=(columns * 0.5, height * 0.5))
    for one, axis in zip(rows[:, 0], axes.flat, strict=True):
        axis.imshow(one.numpy(), cmap="gray_r", vmin=0, vmax=16)
        axis.axis("off")


torch.manual_seed(0)
autoencoder = VariationalAutoencoder(like=train, latent=2)
diagram(autoencoder, train)

# %% [markdown]
# ## Affine networks are principal components
#
# If both networks are affine maps and the noise is normal, everything is known in closed form: this is probabilistic principal component
# analysis. It is the sharpest test that there is of an autoencoder, and a scale to measure others by.

# %%
flat = VariationalAutoencoder(like=train.flatten(1), latent=2, hidden=())
engine = SVI(num_steps=1500, num_particles=1, learning_rate=0.02, num_samples=2, progress=False)
affine = learn(flat, train.flatten(1), engine=engine).fn
exact = affine.exact(train.flatten(1))
best = exact["maximum_likelihood"]()
print(f"learned {float(exact['log_evidence']) / 1437:.4f}, the maximum {float(best.log_likelihood) / 1437:.4f} nats a digit")

# %% [markdown]
# ## Two numbers, a map of all digits
#
# With convolutions in between the same two numbers tell more. Both scores are lower bounds of the log density of a digit, the second
# nearer to it; they are to be held against the affine map's.

# %%
engine = SVI(num_steps=600, batch_size=128, num_particles=1, learning_rate=3e-3, num_samples=2, progress=False)
learned = learn(autoencoder, train, engine=engine).fn
for method in ("elbo", "iwae"):
    found = score(learned, test, method=method, num_particles=100)
    print(f"{method}: {float(found.value.mean()):.2f} nats a digit ({found.kind})")
print(f"affine: {float(affine.exact(test.flatten(1))['log_evidence']) / len(test):.2f}")

# %%
with torch.no_grad():
    where = learned.encode(test).mean
plt.scatter(*where.T.numpy(), c=labels[1437:].numpy(), cmap="tab10", s=8)
plt.colorbar(label="digit")

# %% [markdown]
# Every point of that plane is a digit.

# %%
line = torch.linspace(-2, 2, 12)
plane = torch.cartesian_prod(line.flip(0), line)[:, [1, 0]]
with torch.no_grad():
    sheet(learned.decode(plane).mean, columns=12)

# %% [markdown]
# ## Which digit is to be drawn
#
# Given a context (here the digit, one of ten) both networks see it, and what is drawn follows it.

# %%
which = torch.eye(10)[labels]
torch.manual_seed(0)
conditional = VariationalAutoencoder(like=train, latent=8, context=10, hidden=(128,))
learned = learn(conditional, train, which[:1437], engine=engine).fn
wanted = torch.arange(10).repeat_interleave(8)
drawn = sample(learned, 80, context=torch.eye(10)[wanted])
with torch.no_grad():
    sheet(learned.decode(drawn["z"], torch.eye(10)[wanted]).mean)

# %% [markdown]
# ## What the encoder costs
#
# One network tells the latent numbers of all digits, as independent normals. What both simplifications cost is found by drawing the latent
# numbers of each digit given its image with NUTS, and by fitting normals to each digit alone.

# %%
posterior = NUTS(num_warmup=200, num_samples=200, progress=False)
inference_gaps(learned, test[:8], which[1437:1445], engine=posterior, num_particles=500)
