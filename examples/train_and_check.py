"""
Is my trained network optimal?
==============================

Train a network with plain PyTorch, and ask cpcert how far it is from the global minimum of its loss. The penalty is the one
of cpcert: λ times the sum of the squares of all weights and biases (β = 1).
"""

import torch

import cpcert
from cpcert.instance import shipped_instances

# %%
# Forty handwritten digits, 3 against 8, all 64 pixels.

problem = cpcert.load_instance(shipped_instances()["digits-3-8"]).problem()
X, Y = (torch.tensor(A, dtype=torch.float32) for A in (problem.X, problem.Y))

# %%
# An ordinary training run.

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(X.shape[1], 20), torch.nn.ReLU(), torch.nn.Linear(20, Y.shape[1]))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3000)
for _ in range(3000):
    optimizer.zero_grad()
    penalty = sum(parameter.square().sum() for parameter in model.parameters())
    loss = (model(X) - Y).square().sum() / len(X) + problem.lam * penalty
    loss.backward()
    optimizer.step()
    schedule.step()
print(f"trained: loss about {loss.item():.8f}")

# %%
# The verdict. On the command line: ``cpcert check model.pt instances/digits-3-8.yaml``, with the file that
# ``torch.save(model.state_dict(), "model.pt")`` wrote. The exact loss of the module's weights is compared with a proven interval
# for the global minimum.

outcome = cpcert.check(model, problem, gap=1e-4, improve=True)
print(outcome)
