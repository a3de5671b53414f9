"""Train a network with plain PyTorch, and ask cpcert how far it is from the global minimum of its loss.

    python examples/train_and_check.py

The penalty is the one of cpcert: lambda times the sum of the squares of all weights and biases (beta = 1).
"""

from pathlib import Path

import torch

from cpcert import load_instance, read_model, solve
from cpcert.networks.verdict import check_network
from cpcert.printing import about, at_most, enclosure, rounded_up

INSTANCE = Path(__file__).parents[1] / "instances" / "digits-3-8.yaml"
MODEL = "digits-3-8.pt"


def train(X: torch.Tensor, Y: torch.Tensor, lam: float, width: int = 20, steps: int = 3000) -> torch.nn.Sequential:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(X.shape[1], width), torch.nn.ReLU(), torch.nn.Linear(width, Y.shape[1]))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        penalty = sum(parameter.square().sum() for parameter in model.parameters())
        loss = (model(X) - Y).square().sum() / len(X) + lam * penalty
        loss.backward()
        optimizer.step()
        schedule.step()
    print(f"trained: loss about {about(loss.item(), 8)}")
    return model


def main() -> None:
    problem = load_instance(INSTANCE).problem()
    X, Y = (torch.tensor(A, dtype=torch.float32) for A in (problem.X, problem.Y))
    module = train(X, Y, problem.lam)
    torch.save(module.state_dict(), MODEL)

    # The same on the command line: cpcert check digits-3-8.pt instances/digits-3-8.yaml
    # `read_model` also takes the module itself, and then compares what it computes.
    network = read_model(module, problem)
    solved = solve(problem)
    result = check_network(problem, network, solved.lower, solved.upper, gap=1e-4)
    print(f"the global minimum is {enclosure(solved.lower, solved.upper)} (proven)")
    print(
        f"{result.verdict}: the loss, at most {at_most(result.loss)}, is above it by at most {rounded_up(result.suboptimality[1])}"
    )
    if result.descent is not None:
        print(f"one more neuron lowers the loss to at most {at_most(result.descent.loss_after)} (proven)")


if __name__ == "__main__":
    main()
