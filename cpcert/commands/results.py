"""The JSON objects that the commands print with --json: a model for each, from which the JSON schemas are made.

The commands do not use these models, which are slow to import: tests compare what the commands print, and docs/commands.md, with them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cpcert.certificate.reading import ClaimKind
from cpcert.networks.verdict import Verdict
from cpcert.status import Status

Scope = Literal["global", "blockwise"]


class Object(BaseModel):
    """Exactly these keys, and finite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Interval(Object):
    lower: float | None
    upper: float | None


class Ranks(Object):
    lower: int | None
    upper: int | None


class NearbyRank(Ranks):
    tolerance: float | None


class Solved(Object):
    instance: str
    """the name of the instance"""
    sha256: str
    """the hash of the exact problem"""
    features: list[str] | None
    """the names of the features of a table; null for other data"""
    targets: list[str] | None
    """the same of the targets"""
    classes: list[str] | None
    """the same of the classes, where a column of labels was read"""
    status: Status
    """how the run ended"""
    message: str
    """why it ended, and what else there is to say"""
    scope: Scope
    """what the gap is about; `blockwise` with `--scope blockwise`"""
    upper: float | None
    """the proven upper bound of the global minimum"""
    lower: float | None
    """the proven lower bound; null with `--scope blockwise`"""
    gap: float | None
    """(upper − lower)/abs(upper), or upper − lower where upper is 0"""
    iterations: int
    """the steps of the search"""
    seconds: float
    """the time of the search"""
    model: str | None
    """the file with the network"""


class Solve(Solved):
    width: int | None
    """the neurons of the network found"""
    rank_sigma: NearbyRank
    """{lower, upper, tolerance}: bounds of Rank_σ near the covariances of the network"""
    certificate: str | None
    """the file with the certificate"""
    checked: bool | None
    """whether the checker has accepted the certificate; null without one"""


class DeepLayer(Object):
    layer: int
    width: int
    cost: float
    lower: float
    gap: float
    proof: str | None
    certificate: str | None


class Start(Object):
    start: str
    loss: float | None


class SolveDeep(Solved):
    width: list[int] | None
    """the neurons of each hidden layer of the network found"""
    rank_sigma: None
    """null"""
    layers: list[DeepLayer]
    """for each hidden layer {layer, width, cost, lower, gap, proof, certificate}, given its neighbours"""
    starts: list[Start]
    """{start, loss} of every start of the search"""
    certificate: str | list[str] | None
    """the file with the certificate; with `--scope blockwise` a list"""


class Claim(Object):
    kind: ClaimKind
    sha256: str | None = None
    depth: int | None = None
    order: int | None = None
    strictly: bool | None = None
    loss: float | None = None
    lower: float | None = None
    upper: float | None = None


class Verify(Object):
    accepted: bool
    """whether the file proves its claim"""
    claim: Claim | None
    """{kind, …}: for minima sha256, lower, upper (and depth, from 3 on); for matrices order, bounds, strictly; for widths loss"""
    reason: str | None
    """why it is rejected"""


class PathStep(Solve):
    lam: float = Field(alias="lambda")


class Path(Object):
    instance: str | None
    """the name of the instance"""
    results: list[PathStep]
    """for each λ the object of `solve`, and `lambda`"""


class Needed(Object):
    caps: list[int]
    loss_without: float


class Width(Object):
    instance: str
    """the name of the instance"""
    lower: int | None
    """every network with at most that loss has so many neurons, proven"""
    upper: int | None
    """the width of the network found"""
    lower_proof: str | None = None
    """what the lower bound rests on"""
    loss: float | None = None
    """that loss: the least width of a network with at most this loss is bounded"""
    tolerance: float | None = None
    """how far that loss may be above the minimum, relatively"""
    caps: list[dict[str, float | list[float]]] | None = None
    """the division of the neurons that the lower bound rests on"""
    needed: list[Needed] | None = None
    """{caps, loss_without}: sets of caps that each need a neuron, as without it the loss is at least loss_without"""
    complete: bool | None = None
    """whether the search for the bounds ended by itself"""
    note: str | None
    """what else there is to say"""
    seconds: float | None = None
    """the time that was taken"""
    model: str | None = None
    """the file with the network, with `--out`"""
    certificate: str | None = None
    """the file with the proof, without `--no-certificate`"""
    status: Status | None = None
    """how the solution ended, where it proves nothing about the width"""


class Descent(Object):
    layer: int
    w: list[float]
    v: list[float]
    ratio: float
    loss_before: float
    loss_after: float


class CheckedLayer(Object):
    layer: int
    contact: float | None
    kinks: int


class CheckedNeuron(Object):
    layer: int
    neuron: int
    incoming: float
    outgoing: float
    balance: float | None
    contact: float | None
    dead: bool
    group: int | None


class Improved(Object):
    model: str | None
    loss: float
    width: int
    verdict: Verdict


class Check(Object):
    loss: float
    """the loss of the network, rounded up"""
    lower: float | None
    """the proven lower bound of the global minimum"""
    upper: float | None
    """the proven upper bound"""
    suboptimality: Interval
    """{lower, upper}: how far above the minimum the loss is at least and at most, proven"""
    verdict: Verdict
    """optimal, suboptimal (both proven), or undecided"""
    scope: Scope
    """what the lower bound is about"""
    descent_neuron: Descent | None
    """{layer, w, v, ratio, loss_before, loss_after}: a neuron that lowers the loss, proven"""
    layers: list[CheckedLayer]
    """{layer, contact, kinks} of each hidden layer"""
    neurons: list[CheckedNeuron]
    """{layer, neuron, incoming, outgoing, balance, contact, dead, group} of each neuron"""
    certificate: str | None
    """the file that proves the interval: a new one with `--out`, or that of `--certificate`"""
    improved: Improved | None = None
    """with `--improve`: {model, loss, width, verdict} of the better network"""


class Stage(Object):
    layer: int
    width_before: int
    width_after: int
    bound: int
    argument: str


class Reduce(Object):
    instance: str
    """the name of the instance"""
    width_before: int
    """the hidden neurons before"""
    width_after: int
    """the hidden neurons after"""
    bound: int
    """how many are left at most, proven"""
    norm_before: float
    """Σ‖W_ℓ‖² before"""
    norm_after: float
    """Σ‖W_ℓ‖² after"""
    max_output_change: float
    """the largest change of an output on the data"""
    kept: bool
    """whether outputs and norm are kept up to rounding"""
    stages: list[Stage]
    """{layer, width_before, width_after, bound, argument} of each stage"""
    merges: int
    """the merges of neurons"""
    model: str | None
    """the file with the network"""


class Trained(Object):
    width: int
    seed: int
    lam: float = Field(alias="lambda")
    loss: float | None
    fit: float | None
    test_loss: float | None
    gradient_norm: float | None
    status: str
    steps: int


class Best(Trained):
    model: str | None


class TrainedMinimum(Object):
    lam: float = Field(alias="lambda")
    width: int
    upper: float | None


class Train(Object):
    instance: str
    """the name of the instance"""
    device: str
    """where it was trained"""
    complete: bool
    """false after an interruption"""
    results: list[Trained]
    """{width, seed, lambda, loss, fit, test_loss, gradient_norm, status, steps} of each network"""
    best: list[Best]
    """the best of each width and λ, with the file `model`"""
    minimum: list[TrainedMinimum]
    """for each λ {lambda, width, upper}: a proven upper bound of the global minimum"""
    seconds: float
    """the time of the training"""


class Examined(Trained):
    verdict: str
    residual: float | None
    kinks: int | None
    curvature: float | None
    dead: int | None
    descent: Literal["not_searched", "none", "found"]
    descent_loss: float | None


class PlateauStart(Object):
    observed: int | None
    proven: Ranks | None


class Curve(Object):
    lam: float = Field(alias="lambda")
    certified: Interval | None
    target: float | None
    plateau_start: PlateauStart
    trials: dict[str, int]
    note: str | None
    certificates: dict[str, str]


class Plateau(Object):
    instance: str
    """the name of the instance"""
    device: str
    """where it was trained"""
    scope: Scope
    """what the floor is about: `blockwise` from depth 3 on"""
    complete: bool
    """false after an interruption"""
    tolerance: float
    """how far above the floor a loss may be, relatively"""
    certified: Interval | None
    """{lower, upper} of the first λ: the proven interval of the minimum"""
    plateau_start: PlateauStart
    """{observed, proven {lower, upper}} of the first λ: the least width that reaches the floor"""
    curves: list[Curve]
    """for each λ {lambda, certified, target, plateau_start, trials, note, certificates {floor, width}}"""
    results: list[Examined]
    """as in `train`, with {verdict, residual, kinks, curvature, dead, descent, descent_loss}"""
    best: list[Best]
    """as in `train`"""
    seconds: float
    """the time of training and proving"""


class Ray(Object):
    neurons: list[int]
    share: float
    spread_degrees: float


class ForceLayer(Object):
    layer: int
    neurons: int
    attraction: float
    repulsion: float
    stationarity_residual: float | None
    identity_residual: float | None
    cancellation_residual: float | None
    forces_should_cancel: bool
    kinks: int
    rank_before: int
    rank: int
    faint: int
    rays: list[Ray]


class Forces(Object):
    instance: str
    """the name of the instance"""
    loss: float
    """the loss of the network, in floating point"""
    points: int
    """the number of points"""
    widths: list[int]
    """inputs, neurons of each hidden layer, outputs"""
    layers: list[ForceLayer]
    """for each hidden layer the sizes of the forces, the residuals of the identities, kinks, ranks, rays"""
    seed: int | None
    """the seed of the network that was trained; null for one that was given"""
    complete: bool
    """false after an interruption"""
    plot: str | None = None
    """the picture, with `--plot`"""
    animation: str | None = None
    """the animation, with `--animate`"""
    model: str | None = None
    """the network that was trained or settled, with `--out`"""


class CpRank(Object):
    matrix: str
    """the name of the matrix"""
    order: int
    """its order"""
    completely_positive: bool | None
    """proven either way, or null"""
    lower: int | None
    """the proven lower bound of the cp-rank"""
    upper: int | None
    """the proven upper bound"""
    lower_proof: str | None
    """what the lower bound rests on"""
    upper_proof: str | None
    """what the upper bound rests on"""
    refutation: str | None
    """why the matrix is not completely positive"""
    within_rounding: bool | None
    """whether a refutation holds by no more than the entries may be rounded by; null where nothing is refuted"""
    floating_lower: float | None
    """a hint, not proven"""
    floating_upper: int | None
    """a hint, not proven"""
    notes: list[str]
    """what else there is to say"""
    seconds: float
    """the time of the search"""
    certificate: str | None
    """the file with the claim and its proof"""


class Copositive(Object):
    matrix: str
    """the name of the matrix"""
    order: int
    """its order"""
    copositive: bool | None
    """proven either way, or null"""
    strictly: bool | None
    """the same: whether xᵀAx > 0 for all x ≥ 0 but 0"""
    minimal_zeros: list[list[int | str]] | None
    """all of them; null where they are not known"""
    witness: list[int | str] | None
    """an x ≥ 0 with xᵀAx < 0"""
    proof: str | None
    """what a positive answer rests on"""
    notes: list[str]
    """what else there is to say"""
    seconds: float
    """the time of the search"""
    certificate: str | None
    """the file with the claim and its proof"""


class Rank(Object):
    pair: str
    """the name of the pair"""
    N: int
    """the number of points"""
    activation: str
    """the activation"""
    in_S: bool | None
    """whether a layer has these covariances, proven either way, or null"""
    rank_sigma: Ranks
    """{lower, upper}, proven"""
    lower_proof: str | None
    """what the lower bound rests on"""
    upper_proof: str | None
    """what the upper bound rests on"""
    floating_upper: int | None
    """a hint, not proven"""
    refutation: str | None
    """why no layer has these covariances"""
    within_rounding: bool | None
    """whether a refutation holds by no more than the entries may be rounded by; null where nothing is refuted"""
    notes: list[str]
    """what else there is to say"""
    seconds: float
    """the time of the search"""
    certificate: str | None
    """the file with the claim and its proof"""


class Bipartite(Object):
    graph: str
    """the name of the graph"""
    format: str
    """as what it was read"""
    N: int
    """the vertices"""
    vertices: int
    """the same"""
    edges: int
    """the edges"""
    isolated: int
    """vertices without edges"""
    cp_rank: Ranks
    """{lower, upper} of YᵀY, proven"""
    lower_proof: str | None
    """what the lower bound rests on"""
    rank_sigma: Ranks
    """{lower, upper} of the optimum"""
    representation_cost: int
    """2 Tr A, the least Σ‖W_ℓ‖²"""
    identity_network_cost: float | None
    """that of W_1 = cI, W_2 = A/c, in floating point"""
    plateau_start: Ranks
    """{lower, upper} of the least width that reaches the minimum"""
    notes: list[str]
    """what else there is to say"""
    seconds: float
    """the time of the search"""
    certificate: str | None
    """the file with the claim and its proof"""


class Decimals(Object):
    lam: str = Field(alias="lambda")
    minimum: str


class BipartiteStep(Object):
    lam: float = Field(alias="lambda")
    minimum: float
    exact: Decimals
    rank_sigma: Ranks
    lower_proof: str | None
    upper_proof: str | None


class BipartitePath(Object):
    graph: str
    """the name of the graph"""
    N: int
    """the vertices"""
    loss: str
    """`mse`"""
    path: list[BipartiteStep]
    """for each λ {lambda, minimum, exact {lambda, minimum}, rank_sigma {lower, upper}, lower_proof, upper_proof}"""
    seconds: float
    """the time of the search"""


class Instances(Object):
    instances: dict[str, str]
    """the names, and what each is for"""


# The object of each command, by what its section in docs/commands.md is called.
RESULTS: dict[str, type[Object]] = {
    "solve": Solve,
    "solve, depth 3 and more": SolveDeep,
    "verify": Verify,
    "path": Path,
    "width": Width,
    "check": Check,
    "reduce": Reduce,
    "train": Train,
    "plateau": Plateau,
    "forces": Forces,
    "cprank": CpRank,
    "copositive": Copositive,
    "rank": Rank,
    "bipartite": Bipartite,
    "bipartite --path": BipartitePath,
    "instances": Instances,
}


def rows(model: type[Object]) -> list[str]:
    """The rows of the table of an object in docs/commands.md."""
    return [
        f"| `{field.alias or name}` | {field.description}{'' if field.is_required() else ' (may be left out)'} |"
        for name, field in model.model_fields.items()
    ]
