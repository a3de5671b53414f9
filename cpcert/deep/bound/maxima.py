"""The least maximum of affine functions over a box, for the q of a leaf of a tree of signs; the largest value of functions that
are linear on cones."""

import numpy as np

from cpcert.compiled import njit
from cpcert.deep.bound.kernels import face_maximum, pivot


@njit(cache=True)
def minimax(A, b, low, high, y_out, tolerance, cutoff, far, most):
    """min over low ≤ y ≤ high of max(0, max_k A_k·y + b_k), by the dual
    simplex method; y_out (R,) the minimiser. Ends at a relative gap of `tolerance`, a value below `cutoff`, or above `far`."""
    m, R = A.shape
    cost = np.zeros(R + 1)
    inverse = np.zeros((R + 1, R + 1))
    x = np.empty(R + 1)
    y = np.empty(R)
    c = np.empty(R)
    step = np.empty(R + 1)
    size = 1e-300
    for k in range(m):
        for p in range(R):
            size = max(size, abs(A[k, p]))
    weight = 1e-300
    for p in range(R):
        if high[p] == np.inf:
            cost[p], inverse[p, p] = low[p], -1.0
            weight = max(weight, abs(low[p]))
            y_out[p] = low[p]
        else:
            cost[p], inverse[p, p] = -high[p], 1.0
            weight = max(weight, abs(high[p]))
            if low[p] > -np.inf:
                weight = max(weight, abs(low[p]))
            y_out[p] = high[p]
        x[p] = 1e-9 * size * (1.0 + ((p * 7919 + 13) % 101) / 101.0)
    inverse[R, R] = 1.0
    x[R] = 1.0
    best = np.inf
    for _ in range(most):
        t = 0.0
        for d in range(R + 1):
            t += cost[d] * inverse[d, R]
        worst = 1e-9 * weight
        entering = -1
        for p in range(R):
            s = 0.0
            for d in range(R + 1):
                s -= cost[d] * inverse[d, p]
            y[p] = s
            if low[p] - s > worst:
                worst = low[p] - s
                entering = p
            if s - high[p] > worst:
                worst = s - high[p]
                entering = R + p
        where = -1
        if entering >= 0:
            for d in range(R + 1):
                step[d] = -inverse[d, entering] if entering < R else inverse[d, entering - R]
        else:
            for p in range(R):
                c[p] = min(max(y[p], low[p]), high[p])
            h = 0.0
            for k in range(m):
                s = b[k]
                for p in range(R):
                    s += A[k, p] * c[p]
                if s > h:
                    h = s
                    where = k
            if h < best:
                best = h
                for p in range(R):
                    y_out[p] = c[p]
            if best <= cutoff or best - t <= tolerance * best or where < 0 or t > far:
                break
            for d in range(R + 1):
                s = inverse[d, R]
                for p in range(R):
                    s += inverse[d, p] * A[where, p]
                step[d] = s
        leaving = pivot(inverse, x, step)
        if leaving < 0:
            break
        if where >= 0:
            cost[leaving] = b[where]
        elif entering < R:
            cost[leaving] = low[entering]
        else:
            cost[leaving] = -high[entering - R]
    return best


@njit(cache=True)
def largest(values, simplices, grams, stretch):
    """The largest Σ t_j values_j with ‖Σ t_jr_j‖ ≤ 1 on the cones; values (M,) at the rays."""
    best = 0.0
    for value in values:
        best = max(best, value)
    K, r = simplices.shape
    here = np.empty(r)
    t = np.empty(r)
    for k in range(K):
        top = 0.0
        for a in range(r):
            here[a] = values[simplices[k, a]]
            top = max(top, here[a])
        if top * stretch[k] > best:
            best = max(best, face_maximum(grams[k], here, t))
    return best
