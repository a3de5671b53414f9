"""
How many neurons does the optimum need?
=======================================

Adding neurons helps until the loss is the global minimum; from there on it is a plateau. Where it begins can be proven: a
network of the least width is found, and dual points forbid fewer.
"""

import numpy as np

import cpcert

# %%
# One feature, a zigzag: three kinks, so one may guess three or four neurons.

x = np.linspace(-2.0, 2.0, 17)[:, np.newaxis]
y = np.abs(np.abs(x[:, 0]) - 1.0)

answer = cpcert.least_width(x, y, lam=1e-3)
print(answer)

# %%
# The bound from below holds for every network whose loss is within the tolerance of the proven minimum, and the network that
# attains the bound from above is there to be looked at.

print(f"at least {answer.lower}, at most {answer.upper} neurons")
