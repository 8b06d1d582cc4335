# %% [markdown]
# # A tour
#
# A generative family is a pair of programs over the same sites: a model that tells how data arise, a guide that tells how its unknowns
# are recovered. From the pair all else is read off.

# %%
import pyro
import pyro.distributions as dist
import torch

from ppgen import compare, datasets, diagram, formula, predict, sample, score, structure
from ppgen.inference import NUTS, SVI, Enumeration, ImportanceSampling
from ppgen.models import GaussianMixture

data = datasets.load("old-faithful")
x = data.x
mixture = GaussianMixture(2, like=x)

# %% [markdown]
# ## Three views of one program

# %%
diagram(mixture, x, guide=mixture.guide)

# %%
formula(mixture, x)

# %%
graph = structure(mixture, x)
graph.markov_blanket("assignment"), graph.d_separated("weights", "loc"), graph.d_separated("weights", "loc", given="x")

# %% [markdown]
# ## Four tasks: sample, score, infer, learn

# %%
{name: tuple(value.shape) for name, value in sample(mixture, 100, seed=1).items()}

# %%
posteriors = {
    "svi": SVI(num_steps=1500, seed=0, progress=False).run(mixture, x),
    "nuts": NUTS(num_samples=300, seed=0, progress=False).run(mixture, x),
}
comparison = compare(posteriors, dataset=data)
comparison.engines[["draws", "khat", "seconds"]]

# %%
print(comparison.verdict)

# %%
score(posteriors["nuts"], x)

# %% [markdown]
# ## Your own function is a program
#
# Three machines make bolts; a bolt is 4 mm too long. Discrete unknowns are summed out exactly, by whichever engine comes; where all of
# them are discrete, `Enumeration` is the engine.


# %%
def bolts(x):
    machine = pyro.sample("machine", dist.Categorical(torch.tensor([0.6, 0.3, 0.1])))
    worn = pyro.sample("worn", dist.Bernoulli(torch.tensor([0.01, 0.05, 0.3])[machine]))
    with pyro.plate("bolts", len(x)):
        pyro.sample("x", dist.Normal(4.0 * worn, torch.tensor([1.0, 1.5, 3.0])[machine]), obs=x)


lengths = torch.tensor([3.1, 4.4, 5.2, 2.7])
found = Enumeration(seed=0, num_samples=2000).run(bolts, lengths)
print(f"worn with probability {float(found.draws['worn'].double().mean()):.3f}")
found.summary()

# %% [markdown]
# Every engine returns the same kind of posterior, and engines that do not apply say why.


# %%
def bolt_length(x):
    loc = pyro.sample("loc", dist.Normal(0.0, 5.0))
    with pyro.plate("bolts", len(x)):
        pyro.sample("x", dist.Normal(loc, 1.5), obs=x)


for engine in (NUTS(progress=False), SVI(num_steps=500, progress=False), ImportanceSampling()):
    draws = engine.run(bolt_length, lengths).draws["loc"]
    print(f"{engine.name:>20}: {float(draws.mean()):.2f} +- {float(draws.std()):.2f}")

# %%
{name: tuple(value.shape) for name, value in predict(bolt_length, lengths, num_samples=500).items()}
