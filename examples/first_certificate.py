"""
A first certificate
===================

From two arrays to a proven interval for the global minimum of the loss, and a file that proves it to others: five
minutes, most of them for the kernels, which are compiled when cpcert first runs on a machine.
"""

import tempfile
from pathlib import Path

import numpy as np

import cpcert

# %%
# Some data: 30 points with two features, and a target that is no linear function of them. The loss is the mean squared
# error plus λ times the sum of the squares of all weights and biases, for ReLU networks with one hidden layer of any width.

generator = np.random.default_rng(0)
X = generator.standard_normal((30, 2))
y = np.maximum(X[:, 0], 0.0) - np.abs(X[:, 1]) + 0.1 * generator.standard_normal(30)

result = cpcert.solve(X, y, lam=1e-2)
print(result)

# %%
# ``lower`` is proven: no network of any width has a smaller loss. ``upper`` is the loss of the network that was found, rounded
# up. So the network is the global minimum, up to the gap.

print(result.lower, result.upper, result.gap)
print(result.network.width, "hidden neurons")

# %%
# The network predicts.

print(result.network.predict(X[:3]).ravel(), y[:3])

# %%
# Why believe it? A certificate holds the numbers of the problem, the network and every step of the proof; its checker is one
# file that needs nothing but Python, and redoes all of it in exact integer arithmetic.

certificate = cpcert.certify(result)
path = Path(tempfile.mkdtemp()) / "first.cpcert"
certificate.save(path)
print(cpcert.verify(path))

# %%
# In a notebook a result shows itself: the interval, and both bounds against time.

result  # noqa: B018
