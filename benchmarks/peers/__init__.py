"""One sampler per file, each run by `python -m peers.NAME` in an environment of its own; `protocol.py` is what they share.

`*_models.py` and pymc.py hold the same ten models, in the same coordinates with the same names.
"""

import time

STARTED = time.perf_counter()  # nothing but numpy and the framework is imported after this
