# %% [markdown]
# # Twenty thousand letters
#
# In 1913 Andrei Markov counted the vowels and consonants of Eugene Onegin by hand, to show that the law of large numbers needs no
# independence. It was the first Markov chain that was ever fitted to data.

# %%
from ppgen import datasets, diagram
from ppgen.inference import NUTS
from ppgen.models import MarkovChain

onegin = datasets.load("onegin")
pairs = onegin.x  # each letter with the next: sequences of two
chain = MarkovChain(initial="given", like=pairs)
diagram(chain, pairs)

# %% [markdown]
# After a vowel a vowel is rare, after a consonant it is likely: .128 and .663, as Markov published.

# %%
exact = chain.exact(pairs)
transition = exact["posterior"]["transition"]
for state, row in zip(onegin.states["letter"], transition.mean.reshape(2, 2), strict=True):
    print(f"after a {state}: {float(row[0]):.3f} vowels")

# %% [markdown]
# Letters that are independent of each other would come from one row. By how much does the text speak against it?

# %%
counts = chain.counts(pairs)["transition"]
frequencies = counts.sum(0) / counts.sum()
dependent = (counts * (counts / counts.sum(1, keepdim=True)).log()).sum()
independent = (counts * frequencies.log()).sum()
print(f"log-likelihood: independent {float(independent):.1f}, a chain {float(dependent):.1f} nats")

# %% [markdown]
# Chains of another kind find the rows as well, at a tenth of the letters.

# %%
posterior = NUTS(num_samples=200, seed=0, progress=False).run(chain, pairs[::10])
posterior.summary()[["mean", "sd", "r_hat"]]
