"""Full-batch training of a batch of networks: Adam, then gradient descent or L-BFGS, one step of all networks at a time.

1. **Adam** (Kingma and Ba 2015), float32; the learning rate falls along half a cosine. It jumps over kinks and small
   bumps.
2. **Descent**, float64: x ← x + t d with d = −∇L_λ (gradient descent, `memory` = 0), or d from the two-loop recursion
   over the last `memory` steps (L-BFGS; Nocedal and Wright 2006, Algorithm 7.4). Every network has its own t, found by
   the bisection of Lewis and Overton (2013) for functions with kinks: with φ(t) = L_λ(x + t d),

       φ(t) ≤ φ(0) + c₁ t φ′(0)   (else t is too long),      φ′(t) ≥ c₂ φ′(0)   (else t is too short),

   half way between the longest t known to be too short and the shortest known to be too long; doubled while none is too
   long. A network moves only to a t that is not too long: its loss falls, always. One tick evaluates one t of every
   network, so nobody waits for the line searches of the others.

A network leaves the batch when its gradient is small against 2λ‖W‖, the penalty's part of it (*converged*), when its
loss has stopped falling or no t is good any more (*stalled*: usual where a minimum lies on a kink, which no gradient
shows), or with the last step (*step_limit*). In Adam, leaving means going on to the descent; a network whose weights
overflow there (*diverged*) goes on from its first weights. Heuristics all of it: nothing is proven here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cpcert.network import Network
from cpcert.problem import Problem
from cpcert.training.batch import (
    Data,
    Trial,
    flatten,
    gradients,
    initial_weights,
    losses,
    losses_and_gradients,
    networks,
    split,
)  # fmt: skip

State = dict[str, torch.Tensor]

STATUSES = ("unfinished", "converged", "stalled", "step_limit", "diverged")
UNFINISHED, CONVERGED, STALLED, STEP_LIMIT, DIVERGED = range(5)

# Adam's averages of the gradient and of its square, what keeps the quotient finite, and the last rate over the first.
BETA_1, BETA_2, EPSILON, LAST_RATE = 0.9, 0.999, 1e-8, 1e-3
# c₁ and c₂; ticks of one line search before it is given up.
SUFFICIENT, CURVATURE, MOST_TICKS = 1e-4, 0.5, 30
# Steps between two looks at who is done.
CHECK = 100
# A network leaves Adam when CHECK steps change its loss by less than this share (float32 has 6e-8).
ADAM_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Settings:
    """How long and how finely to train. `epochs`: steps of Adam; `descent`: ticks of gradient descent after it; `polish`: ticks of
    L-BFGS after that. rate: Adam's first learning rate. tolerance: the share of its loss that a network must gain in
    CHECK ticks to stay. gradient_tolerance: of ‖∇L_λ‖ against 2λ‖W‖."""

    epochs: int = 5000
    descent: int = 1000
    polish: int = 0
    rate: float = 0.01
    memory: int = 8
    tolerance: float = 1e-9
    gradient_tolerance: float = 1e-7


class Training:
    """The training of one batch. Call `advance` until `done`; `snapshot` and `restore` at any time between.

    device: cuda, mps or cpu. mps has no float64: there the descent runs on the cpu. basis: of `span_of_points`, whose coordinates
    the problem is in; networks leave without it.
    final (B, P), float64 on the cpu: the last weights of every network that has left; status, steps (B,).
    """

    def __init__(
        self,
        problem: Problem,
        trials: Sequence[Trial],
        settings: Settings,
        device: str,
        basis: np.ndarray | None = None,
    ) -> None:
        self.problem, self.trials, self.settings, self.device = problem, list(trials), settings, device
        self.basis = basis
        weights = initial_weights(problem, trials, basis)
        self.shapes = [(W.shape[1], W.shape[2]) for W in weights]
        self.final = flatten(weights)
        self.status = torch.full((len(trials),), UNFINISHED)
        self.steps = torch.zeros(len(trials), dtype=torch.int64)
        self.phase, self.step = 0, 0
        self.state: State = {}
        self._begin()

    @property
    def _phases(self) -> list[tuple[int, int, torch.dtype]]:
        """(steps, memory; −1 is Adam, dtype) of each phase."""
        s = self.settings
        return [(s.epochs, -1, torch.float32), (s.descent, 0, torch.float64), (s.polish, s.memory, torch.float64)]

    @property
    def done(self) -> bool:
        return self.phase == len(self._phases)

    @property
    def progress(self) -> float:
        """The share of the most work possible that is behind: a step in float64 is about three in float32."""
        costs = [1.0 if dtype == torch.float32 else 3.0 for _, _, dtype in self._phases]
        lengths = [cost * steps for cost, (steps, _, _) in zip(costs, self._phases, strict=True)]
        step = 0.0 if self.done else costs[self.phase] * self.step
        return (sum(lengths[: self.phase]) + step) / max(sum(lengths), 1.0)

    @property
    def words(self) -> str:
        """The phase, for a progress bar."""
        name = ("Adam", "gradient descent", "L-BFGS")[self.phase] if not self.done else "done"
        return f"{len(self.state.get('index', ()))} in {name}"

    def networks(self) -> list[Network]:
        """The networks of `final`, in the order of the trials."""
        return networks(self.problem, self.trials, split(self.final, self.shapes), self.basis)

    def collect(self) -> None:
        """Put the weights of the networks that are still in training into `final`, too."""
        if not self.done:
            x = self.state["x"].to("cpu", torch.float64)
            finite = x.isfinite().all(1)
            self.final[self.state["index"][finite]] = x[finite]

    # -- phases ------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Enter the first phase from `self.phase` on that has steps to do and networks to do them."""
        while not self.done:
            steps, memory, dtype = self._phases[self.phase]
            index = torch.nonzero(self.status != CONVERGED)[:, 0]
            if steps and len(index):
                break
            self.phase += 1
        self.step = 0
        if self.done:
            self.status[self.status == UNFINISHED] = STEP_LIMIT
            self.state = {}
            return
        self.status[index] = UNFINISHED
        place = "cpu" if self.device == "mps" and dtype == torch.float64 else self.device
        self.data = Data.of(self.problem, place, dtype)
        # First the type, then the place: mps takes no float64.
        x = self.final[index].to(dtype).to(place)
        lam = torch.tensor([self.trials[i].lam for i in index.tolist()], dtype=dtype).to(place)
        self.state = {"index": index, "lam": lam, "x": x, "checked": torch.full_like(lam, math.inf)}
        if memory < 0:
            self.state |= {"mean": torch.zeros_like(x), "square": torch.zeros_like(x)}
        else:
            f, g = self._evaluate(x)
            self.state |= {
                "f": f, "g": g, "d": -g, "slope": -g.norm(dim=1).square(),
                "t": _first_step(g), "low": torch.zeros_like(f), "high": torch.full_like(f, math.inf),
                "ticks": torch.zeros_like(f), "lost": torch.zeros_like(f, dtype=torch.bool),
            }  # fmt: skip
        if memory > 0:
            # The last steps s and changes of gradient y, in rings of which `head` is written next; their products.
            self.state |= {
                "pairs": x.new_zeros(len(x), 2 * memory, x.shape[1]), "rho": x.new_zeros(len(x), memory),
                "gram": x.new_zeros(len(x), 2 * memory, 2 * memory), "head": torch.zeros_like(f, dtype=torch.int64),
            }  # fmt: skip

    def _evaluate(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        f, g = losses_and_gradients(split(x, self.shapes), self.state["lam"], self.data)
        return f, flatten(g)

    def advance(self) -> None:
        """CHECK steps of all networks in the batch, or what is left of the phase; then those that are done leave."""
        steps, memory, _ = self._phases[self.phase]
        count = min(CHECK, steps - self.step)
        for _ in range(count):
            if memory < 0:
                self._adam_step()
            else:
                self._tick(memory)
            self.step += 1
        state = self.state
        self.steps[state["index"]] += count
        if memory < 0:
            f = losses(split(state["x"], self.shapes), state["lam"], self.data)
            leaves = ((state["checked"] - f).abs() <= ADAM_TOLERANCE * f) | ~f.isfinite()
            outcome = torch.full_like(state["index"], UNFINISHED)
        else:
            f = state["f"]
            limit = 2.0 * state["lam"] * state["x"].norm(dim=1) * self.settings.gradient_tolerance
            flat = state["g"].norm(dim=1) <= limit
            stalled = state["lost"] | (state["checked"] - f <= self.settings.tolerance * f.abs())
            leaves = flat | stalled
            outcome = torch.where(flat, CONVERGED, torch.where(stalled, STALLED, UNFINISHED)).cpu()
        state["checked"] = f.clone()
        over = self.step == steps or bool(leaves.all())
        self._leave(torch.ones_like(leaves) if over else leaves, outcome)
        if over:
            self.phase += 1
            self._begin()

    def _leave(self, leaves: torch.Tensor, outcome: torch.Tensor) -> None:
        if not bool(leaves.any()):
            return
        going = leaves.cpu()
        index, x = self.state["index"][going], self.state["x"][leaves].to("cpu", torch.float64)
        finite = x.isfinite().all(1)
        self.final[index[finite]] = x[finite]
        self.status[index] = torch.where(finite, outcome[going], DIVERGED)
        self.state = {key: value[~going] if value.device.type == "cpu" else value[~leaves]
                      for key, value in self.state.items()}  # fmt: skip

    # -- steps -------------------------------------------------------------------------------------------------------

    def _adam_step(self) -> None:
        state, settings = self.state, self.settings
        t = self.step + 1
        fall = 0.5 * (1.0 + math.cos(math.pi * self.step / settings.epochs))
        # The corrections of the start (Kingma and Ba, Section 3) are numbers: they go into the rate and into ε.
        root = math.sqrt(1.0 - BETA_2**t)
        rate = settings.rate * (LAST_RATE + (1.0 - LAST_RATE) * fall) * root / (1.0 - BETA_1**t)
        g = flatten(gradients(split(state["x"], self.shapes), state["lam"], self.data))
        state["mean"].lerp_(g, 1.0 - BETA_1)
        state["square"].mul_(BETA_2).addcmul_(g, g, value=1.0 - BETA_2)
        state["x"].addcdiv_(state["mean"], state["square"].sqrt().add_(EPSILON * root), value=-rate)

    def _tick(self, memory: int) -> None:
        """Try one t of every network; take it where it is good, and choose the next one."""
        now = self.state
        x = torch.addcmul(now["x"], now["d"], now["t"][:, None])
        f, g = self._evaluate(x)
        falls = f <= now["f"] + SUFFICIENT * now["t"] * now["slope"]
        # After too many ticks any t that lowers the loss will do.
        steep = ((g * now["d"]).sum(1) >= CURVATURE * now["slope"]) | (now["ticks"] >= MOST_TICKS)
        taken = falls & steep & ~now["lost"]
        now["ticks"] += 1.0
        now["low"] = torch.where(falls, now["t"], now["low"])
        now["high"] = torch.where(falls, now["high"], now["t"])
        following = torch.where(now["high"].isinf(), 2.0 * now["t"], 0.5 * (now["low"] + now["high"]))
        given_up = ~taken & (now["ticks"] >= MOST_TICKS)
        following = torch.where(given_up & (now["low"] > 0.0), now["low"], following)
        now["t"] = torch.where(taken, now["t"], following)
        # No t was good: forget the memory, and along the gradient give up.
        restart = given_up & (now["low"] == 0.0)
        if memory:
            now["lost"] |= restart & (now["rho"] == 0.0).all(1)
        else:
            now["lost"] |= restart
        self._accept(taken, restart & ~now["lost"], x, f, g, memory)

    def _accept(
        self, taken: torch.Tensor, restart: torch.Tensor, x: torch.Tensor, f: torch.Tensor, g: torch.Tensor, memory: int
    ) -> None:
        now = self.state
        changed = taken | restart
        if not bool(changed.any()):
            return
        if memory:
            now["rho"][restart] = 0.0
            self._remember(taken, x - now["x"], g - now["g"], memory)
        # torch.where takes as long as the loss and its gradient.
        rows = torch.nonzero(taken)[:, 0]
        for key, value in (("x", x), ("f", f), ("g", g)):
            if len(rows) == len(taken):
                now[key] = value
            else:
                now[key][rows] = value[rows]
        if memory:
            again, d = torch.nonzero(changed)[:, 0], self._two_loops(memory)
            now["d"][again], now["slope"][again] = d[again], (d * now["g"]).sum(1)[again]
        else:
            now["d"] = -now["g"]
            now["slope"] = -now["g"].norm(dim=1).square()
        now["low"][changed], now["high"][changed], now["ticks"][changed] = 0.0, math.inf, 0.0
        if memory:
            fresh = (now["rho"] == 0.0).all(1)
            first = torch.where(fresh, _first_step(now["g"]), torch.ones_like(now["t"]))
            now["t"] = torch.where(changed, first, now["t"])

    def _remember(self, taken: torch.Tensor, s: torch.Tensor, y: torch.Tensor, memory: int) -> None:
        """Put the pairs (s, y) of positive curvature into the rings of the networks `taken`."""
        now = self.state
        product = (s * y).sum(1)
        useful = taken & (product > 1e-10 * s.norm(dim=1) * y.norm(dim=1))
        rows = torch.nonzero(useful)[:, 0]
        place = now["head"][rows]
        now["pairs"][rows, place], now["pairs"][rows, memory + place] = s[rows], y[rows]
        products = torch.bmm(now["pairs"], torch.stack([s, y], 2))[rows]
        for which, at in ((0, place), (1, memory + place)):
            now["gram"][rows, at] = products[:, :, which]
            now["gram"][rows, :, at] = products[:, :, which]
        now["rho"][rows, place] = 1.0 / product[rows]
        now["head"][rows] = (place + 1) % memory

    def _two_loops(self, memory: int) -> torch.Tensor:
        """−Hg (B, P). The vectors are read twice only, for their products with g and for the sum: the two loops are about their
        coefficients (Chen, Wang and Zhou 2014). Pairs with rho = 0 are not there and change nothing.
        """
        now = self.state
        g = now["g"]
        order = (now["head"][:, None] - 1 - torch.arange(memory, device=g.device)) % memory
        place = torch.cat([order, memory + order], 1)
        gram = now["gram"].take_along_dim(place[:, :, None], 1).take_along_dim(place[:, None, :], 2)
        with_g = torch.bmm(now["pairs"], g[:, :, None])[:, :, 0].take_along_dim(place, 1)
        rho = now["rho"].take_along_dim(order, 1)
        c, of_g = torch.zeros_like(with_g), torch.ones_like(with_g[:, 0])
        factors = []
        for j in range(memory):
            factors.append(rho[:, j] * ((c * gram[:, j]).sum(1) + of_g * with_g[:, j]))
            c[:, memory + j] -= factors[-1]
        scale = torch.where(rho[:, 0] > 0.0, 1.0 / (rho[:, 0] * gram[:, memory, memory]), torch.ones_like(of_g))
        c, of_g = c * scale[:, None], of_g * scale
        for j in reversed(range(memory)):
            back = rho[:, j] * ((c * gram[:, memory + j]).sum(1) + of_g * with_g[:, memory + j])
            c[:, j] += factors[j] - back
        coefficients = torch.zeros_like(c).scatter_(1, place, c)
        return -torch.baddbmm(of_g[:, None, None] * g[:, None], coefficients[:, None], now["pairs"])[:, 0]

    # -- files -------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything that `restore` needs, as arrays."""
        kept = {f"state_{key}": value.cpu().numpy() for key, value in self.state.items()}
        return kept | {
            "final": self.final.numpy(), "status": self.status.numpy(), "steps": self.steps.numpy(),
            "place": np.array([self.phase, self.step]),
        }  # fmt: skip

    def restore(self, saved: Mapping[str, np.ndarray]) -> None:
        """Go on where `snapshot` was taken, of a training of the same trials and settings."""
        self.phase, step = (int(k) for k in saved["place"])
        self.final = torch.from_numpy(saved["final"].copy())
        self._begin()
        # What `_begin` has set for a whole phase is replaced by where its networks stood.
        self.status, self.steps = (torch.from_numpy(saved[key].copy()) for key in ("status", "steps"))
        self.step = step
        for key, value in self.state.items():
            self.state[key] = torch.from_numpy(saved[f"state_{key}"].copy()).to(value.device)


def _first_step(g: torch.Tensor) -> torch.Tensor:
    """t of a first step along −g: a length of at most 1."""
    return 1.0 / g.norm(dim=1).clamp_min(1.0)
