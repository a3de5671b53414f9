"""Plain training from many random starts: weights that anyone could have found, so an upper bound of the optimum."""

from __future__ import annotations

import numpy as np
from enumeration import network_loss
from scipy.optimize import minimize


def best_trained(X, Y, *, loss, lam, a_plus, a_minus, beta, width=8, starts=8, seed=0) -> float:
    """The lowest L_λ(W) that L-BFGS reaches from `starts` random initialisations; Y (N, m), rows are points."""
    rng = np.random.default_rng(seed)
    (N, n0), m = X.shape, Y.shape[1]
    bias = int(beta != 0)
    inputs = np.hstack([X, np.full((N, bias), beta)])
    first = width * (n0 + bias)

    def unpack(theta):
        return theta[:first].reshape(width, n0 + bias), theta[first:].reshape(m, width + bias)

    def value_and_gradient(theta):
        W1, W2 = unpack(theta)
        S = inputs @ W1.T
        hidden = np.hstack([np.where(S > 0, a_plus, a_minus) * S, np.full((N, bias), beta)])
        Z = hidden @ W2.T
        if loss == "mse":
            D = 2 * (Z - Y) / N
        elif loss == "logistic":
            D = -Y * np.exp(-np.logaddexp(0, Y * Z)) / N
        else:
            D = (np.exp(Z - np.logaddexp.reduce(Z, axis=1, keepdims=True)) - Y) / N
        back = np.where(S > 0, a_plus, a_minus) * (D @ W2[:, :width])
        gradient = [(back.T @ inputs + 2 * lam * W1).ravel(), (D.T @ hidden + 2 * lam * W2).ravel()]
        value = network_loss(W1, W2, X, Y, lam=lam, loss=loss, a_plus=a_plus, a_minus=a_minus, beta=beta)
        return value, np.concatenate(gradient)

    best = np.inf
    for _ in range(starts):
        start = rng.normal(size=first + m * (width + bias))
        result = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 3000})
        best = min(best, result.fun)
    return float(best)
