"""Estimators for scikit-learn: one hidden layer of ReLUs (or more layers), L2-regularised, with a proven interval of the minimum.

`fit` minimises (1/N) Σ‖f(x_i) − y_i‖² + λΣ‖W_ℓ‖² (regression) or the mean cross-entropy plus the same penalty (classification), over
networks of *any* width: the width is not a parameter but a result. The penalty counts the biases, too. Importing this needs
scikit-learn (extra `sklearn`).
"""

from __future__ import annotations

import warnings
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from cpcert.api.solving import certify, solve
from cpcert.errors import InputError
from cpcert.losses import LOSSES
from cpcert.network import attained
from cpcert.problem import Problem, by_class, real_array
from cpcert.units import Units

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise ImportError(
        "scikit-learn is not installed, and the estimators need it: pip install 'cpcert[sklearn]'"
    ) from None

if TYPE_CHECKING:
    from cpcert.certificate.build import Certificate
    from cpcert.deep.bound.certificate import DeepCertificate
    from cpcert.deep.solve import DeepResult
    from cpcert.frank_wolfe.result import SolveResult


class _CertifiedMLP(BaseEstimator):
    """What both estimators share: parameters, the fit, and what is proven about it."""

    def __init__(
        self,
        lam: float = 1e-2,
        *,
        activation: str = "relu",
        slope: float | None = None,
        beta: float = 1.0,
        depth: int = 2,
        standardize: bool = True,
        gap: float = 1e-2,
        time_limit: float = 10.0,
        max_iterations: int = 1000,
        certificate: bool = False,
        random_state: Any = None,
    ) -> None:
        self.lam = lam
        self.activation = activation
        self.slope = slope
        self.beta = beta
        self.depth = depth
        self.standardize = standardize
        self.gap = gap
        self.time_limit = time_limit
        self.max_iterations = max_iterations
        self.certificate = certificate
        self.random_state = random_state

    # What a fit leaves behind.
    result_: SolveResult | DeepResult
    certificate_: Certificate | DeepCertificate | None
    n_features_in_: int

    def _solve(self, X: np.ndarray, Y: np.ndarray, loss: str, units: Units, weights: np.ndarray | None) -> None:
        """Solve for raw points X (N, n0) and targets Y (N, m), as the units say; sets result_ and certificate_."""
        if isinstance(self.lam, bool | np.bool_) or not isinstance(self.lam, Real):
            raise InputError(f"lam: is {self.lam!r}; give the weight of the penalty, a finite number > 0")
        if not isinstance(self.standardize, bool | np.bool_):
            raise InputError(f"standardize: is {self.standardize!r}; give True or False")
        problem = Problem(
            units.inputs(X), (Y - units.y_mean) / units.y_size, float(self.lam), loss, self.activation, self.slope,
            beta=self.beta, depth=self.depth, name=type(self).__name__, units=units, sample_weight=weights,
        )  # fmt: skip
        result = solve(
            problem, gap=self.gap, time_limit=self.time_limit, max_iterations=self.max_iterations, seed=self._seed()
        )
        attained(result.network, result.status)
        self.result_ = result
        self.certificate_ = certify(result) if self.certificate else None
        self.n_iter_ = max(result.iterations, 1)
        if result.status != "optimal":
            warnings.warn(f"{result.sentence()}", ConvergenceWarning, stacklevel=3)

    def _seed(self) -> int:
        if self.random_state is None:
            return 0
        if isinstance(self.random_state, int | np.integer) and not isinstance(self.random_state, bool):
            return int(self.random_state)
        from sklearn.utils import check_random_state

        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _outputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self.network_.predict(validate_data(self, X, reset=False, dtype=np.float64))

    @property
    def network_(self) -> Any:
        """The network, a cpcert.Network; its `predict`, `save` and `to_torch` are in the units of the data."""
        check_is_fitted(self)
        return self.result_.network

    @property
    def bounds_(self) -> tuple[float | None, float | None]:
        """(lower, upper): the minimum over all networks lies between, proven; for the standardized data if `standardize`."""
        check_is_fitted(self)
        if self.certificate_ is not None:
            return self.certificate_.lower, self.certificate_.upper
        return self.result_.lower, self.result_.upper

    @property
    def gap_(self) -> float | None:
        """(upper − lower)/|upper|, proven; None without a lower bound."""
        from cpcert.frank_wolfe.result import relative_gap

        lower, upper = self.bounds_
        return relative_gap(upper, lower)

    @property
    def width_(self) -> int:
        """Hidden neurons of the network."""
        return self.network_.width


_LAST = """        The seed of the heuristics; None is 0: a fit that ends by itself is deterministic.
"""
_CLASS_WEIGHT = """    class_weight : "balanced" or dict {label: weight > 0}, default=None
        Times the sample_weight of `fit`; a label that is not in it counts 1.
"""
_PARAMETERS = """
    Parameters
    ----------
    lam : float, default=1e-2
        The weight λ of the penalty λΣ‖W_ℓ‖², biases included.
    activation : {"relu", "leaky_relu", "abs", "linear"}, default="relu"
    slope : float, default=None
        The left slope of leaky_relu, in (−1, 1).
    beta : float, default=1.0
        The weight β of the biases; 0: no biases.
    depth : int, default=2
        The number of weight matrices; 2 is one hidden layer.
    standardize : bool, default=True
        Bring every feature (of a regressor every target, too) to mean 0 and variance 1 first. Predictions are in the units of the
        data all the same; `bounds_` are those of the standardized problem.
    gap : float, default=1e-2
        The relative gap to prove.
    time_limit : float, default=10.0
        Seconds to try. Where they come first, what was proven by then stands, with a ConvergenceWarning.
    max_iterations : int, default=1000
    certificate : bool, default=False
        Write a certificate, and have the checker accept it.
    random_state : int, RandomState instance or None, default=None
        The seed of the heuristics; None is 0: a fit that ends by itself is deterministic.

    Attributes
    ----------
    bounds_ : (lower, upper)
        The global minimum of the training loss, over networks of any width, lies between. Proven.
    gap_, width_, network_, result_
        The proven relative gap; the hidden neurons and the network that attains `upper`; all of what `cpcert.solve` returned.
    certificate_ : Certificate or None
        `certificate_.save(path)` writes it for `cpcert verify`.
    n_features_in_, feature_names_in_, n_iter_
"""


def _counted(sample_weight: Any, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """X, y and the weights without the points of weight 0; None where no weights are given."""
    if sample_weight is None:
        return X, y, None
    weights = real_array("sample_weight", sample_weight)
    if weights.shape != (len(X),):
        raise InputError(
            f"sample_weight: has shape {weights.shape}, and X has {len(X)} points; give one number >= 0 each"
        )
    if not np.all(weights >= 0.0):
        raise InputError("sample_weight: holds a number that is not >= 0; give one number >= 0 for each point")
    if not weights.any():
        raise InputError("sample_weight: every weight is zero; give at least one point a weight > 0")
    return X[weights > 0.0], y[weights > 0.0], weights[weights > 0.0]


class CertifiedMLPRegressor(RegressorMixin, _CertifiedMLP):
    __doc__ = f"""Ridge-regularised ReLU regression, globally optimal up to a proven gap.

    Minimises (1/N) Σ‖f(x_i) − y_i‖² + λΣ‖W_ℓ‖² over networks of any width. With m outputs the squares are summed.
{_PARAMETERS}"""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> CertifiedMLPRegressor:
        """Fit to points X (N, n0) and targets y (N,) or (N, m), of weights (N,). Returns self. Raises ValueError for wrong input."""
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        Y = np.asarray(y, np.float64)
        if Y.ndim == 2 and Y.shape[1] == 1:
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected. y is taken as one target per point.",
                DataConversionWarning,
                stacklevel=2,
            )
            Y = Y[:, 0]
        self._one = Y.ndim == 1
        Y = Y.reshape(len(X), -1)
        self.n_outputs_ = Y.shape[1]
        X, Y, weights = _counted(sample_weight, X, Y)
        units = Units.of(X, Y, bool(self.standardize), bool(self.standardize), weights)
        self._solve(X, Y, "mse", units, weights)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The outputs (N,), or (N, m) where y had m columns, in the units of the targets."""
        Z = self._outputs(X)
        return Z[:, 0] if self._one else Z


class CertifiedMLPClassifier(ClassifierMixin, _CertifiedMLP):
    __doc__ = f"""Ridge-regularised ReLU classification, globally optimal up to a proven gap.

    Minimises the mean logistic loss (two classes) or softmax cross-entropy (more) plus λΣ‖W_ℓ‖² over networks of any width. Labels
    are of any type that can be sorted.
{_PARAMETERS.replace(_LAST, _LAST + _CLASS_WEIGHT)}    classes_ : the labels, sorted
"""

    def __init__(
        self,
        lam: float = 1e-2,
        *,
        activation: str = "relu",
        slope: float | None = None,
        beta: float = 1.0,
        depth: int = 2,
        standardize: bool = True,
        gap: float = 1e-2,
        time_limit: float = 10.0,
        max_iterations: int = 1000,
        certificate: bool = False,
        random_state: Any = None,
        class_weight: Any = None,
    ) -> None:
        super().__init__(
            lam, activation=activation, slope=slope, beta=beta, depth=depth, standardize=standardize, gap=gap,
            time_limit=time_limit, max_iterations=max_iterations, certificate=certificate, random_state=random_state,
        )  # fmt: skip
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> CertifiedMLPClassifier:
        """Fit to points X (N, n0) and labels y (N,), of weights (N,). Returns self. Raises ValueError for wrong input."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        X, y, weights = _counted(sample_weight, X, y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        count = len(self.classes_)
        if count < 2:
            raise ValueError(f"y: has one class, {self.classes_[0]!r}; a classifier needs two or more classes")
        if count == 2:
            Y, loss = 2.0 * labels[:, np.newaxis] - 1.0, "logistic"
        else:
            Y, loss = np.eye(count)[labels], "cross_entropy"
        if self.class_weight is not None:
            classes = tuple(map(str, self.classes_.tolist()))
            weights = by_class(self.class_weight, Y, LOSSES[loss], classes, weights)
        self._solve(X, Y, loss, Units.of(X, Y, bool(self.standardize), False, weights), weights)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """The logit (N,) of the second of two classes, or the logits (N, classes)."""
        Z = self._outputs(X)
        return Z[:, 0] if len(self.classes_) == 2 else Z

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (N, classes), in the order of classes_, as the network has them: calibrated by nobody."""
        Z = self._outputs(X)
        if len(self.classes_) == 2:
            Z = np.column_stack([np.zeros(len(Z)), Z])
        Z = np.exp(Z - Z.max(axis=1, keepdims=True))
        return Z / Z.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest labels (N,)."""
        Z = self.decision_function(X)
        return self.classes_[(Z > 0.0).astype(int) if Z.ndim == 1 else Z.argmax(axis=1)]
