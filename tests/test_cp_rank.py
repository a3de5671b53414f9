"""cp-rank: golden matrices, invariance, never above the truth; every claim accepted, every forged one rejected."""

import copy
import json
from fractions import Fraction

import numpy as np
import pytest
from cp_matrices import CASES, NEGATIVE, POSITIVE, rows

from cpcert.certificate.rank_check import Rejected, check_rank_claim
from cpcert.rank import bounds as bounds_module
from cpcert.rank.bounds import cp_rank_bounds
from cpcert.rank.semidefinite import semidefinite_bounds


def as_text(claim):
    """What a file would hold."""
    return json.loads(json.dumps(claim, allow_nan=False))


# Seconds each, for the exhaustive exact checks of larger orders.
LONG = ("BSU_M7t", "BSU_M8t", "BSU_M9", "BSU_M9t", "BSU_M11t", "BSU_M12")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.campaign if n in LONG else ()) for n in POSITIVE])
def test_completely_positive_matrices(name):
    bounds = cp_rank_bounds(rows(name), sdp=False)
    assert bounds.completely_positive is True
    truth = CASES[name]["cp_rank"]
    assert bounds.lower == bounds.upper
    if truth is not None:
        assert bounds.lower == truth
    claim = as_text(bounds.claim())
    check_rank_claim(claim)
    for forged in (claim | {"lower": bounds.lower + 1}, claim | {"upper": bounds.upper - 1}):
        with pytest.raises(Rejected):
            check_rank_claim(forged)


@pytest.mark.parametrize("name", NEGATIVE)
def test_not_completely_positive(name):
    bounds = cp_rank_bounds(rows(name), sdp=False)
    assert bounds.completely_positive is False and bounds.lower is None and bounds.upper is None
    claim = as_text(bounds.claim())
    check_rank_claim(claim)
    # The proof is about this matrix: a completely positive one is not refuted by it.
    n = len(claim["A"])
    with pytest.raises(Rejected):
        check_rank_claim(claim | {"A": [[int(i == j) for j in range(n)] for i in range(n)]})


@pytest.mark.parametrize("name", ["lit_SoXu_rank3", "Petersen", pytest.param("BSU_M7", marks=pytest.mark.campaign)])
def test_order_and_scale_do_not_matter(name):
    rng = np.random.default_rng(3)
    A = rows(name)
    order = [int(i) for i in rng.permutation(len(A))]
    scale = [Fraction(int(v), 3) for v in rng.integers(1, 5, len(A))]
    moved = [[A[i][j] * scale[i] * scale[j] for j in order] for i in order]
    before, after = cp_rank_bounds(A, sdp=False), cp_rank_bounds(moved, sdp=False)
    assert (before.lower, before.upper) == (after.lower, after.upper)


def test_blocks_add_up():
    first, second = rows("C5"), rows("lit_SoXu_rank3")
    n, m = len(first), len(second)
    A = [[*row, *[0] * m] for row in first] + [[*[0] * n, *row] for row in second]
    order = [int(i) for i in np.random.default_rng(0).permutation(n + m)]
    bounds = cp_rank_bounds([[A[i][j] for j in order] for i in order], sdp=False)
    assert bounds.lower == bounds.upper == 8
    check_rank_claim(as_text(bounds.claim()))


def test_a_block_that_is_not_completely_positive():
    A = rows("neg_BSU_M7t_shift")
    A = [[*row, 0] for row in A] + [[0] * 7 + [1]]
    bounds = cp_rank_bounds(A, sdp=False)
    assert bounds.completely_positive is False
    check_rank_claim(as_text(bounds.claim()))


@pytest.mark.parametrize("seed", range(12))
def test_lower_bounds_never_exceed_a_known_factorisation(seed):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(2, 6)), int(rng.integers(1, 6))
    B = rng.integers(0, 3, (n, k)) * (rng.random((n, k)) < 0.6)
    A = (B @ B.T).tolist()
    bounds = cp_rank_bounds(A, seconds=10, sdp=False)
    assert bounds.completely_positive is not False
    assert bounds.lower <= int((B.any(axis=0)).sum())
    if bounds.upper is not None:
        assert bounds.lower <= bounds.upper
    check_rank_claim(as_text(bounds.claim()))


@pytest.mark.parametrize("seed", range(12))
def test_not_doubly_nonnegative(seed):
    rng = np.random.default_rng(seed)
    A = rng.integers(0, 4, (5, 5))
    A = A + A.T
    bounds = cp_rank_bounds(A.tolist(), seconds=10, sdp=False)
    if np.linalg.eigvalsh(A)[0] < -1e-9:
        assert bounds.completely_positive is False
    check_rank_claim(as_text(bounds.claim()))


def test_just_outside_the_cone_is_not_claimed_inside():
    """The 7×7 matrix of cp-rank 14 is on the boundary: less of the identity is outside, however little."""
    for step in (Fraction(1, 10**3), Fraction(1, 10**12)):
        A = rows("BSU_M7t")
        for i in range(7):
            A[i][i] -= step
        assert cp_rank_bounds(A, seconds=1.5, sdp=False).completely_positive is not True


def test_what_was_proven_survives_an_interruption(monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(bounds_module, "_boundary", interrupt)
    monkeypatch.setattr(bounds_module, "_try_atoms", lambda *arguments, **options: False)
    bounds = cp_rank_bounds(rows("BSU_M7"))
    assert bounds.completely_positive is None and bounds.lower == 7 and bounds.upper is None
    assert any("interrupted" in note for note in bounds.notes)
    check_rank_claim(as_text(bounds.claim()))


def test_zero_matrix_and_zero_rows():
    assert (cp_rank_bounds([[0, 0], [0, 0]]).lower, cp_rank_bounds([[0, 0], [0, 0]]).upper) == (0, 0)
    bounds = cp_rank_bounds([[4, 0], [0, 0]])
    assert bounds.lower == bounds.upper == 1
    assert cp_rank_bounds([[0, 1], [1, 5]]).completely_positive is False
    assert cp_rank_bounds([[2, -1], [-1, 2]]).completely_positive is False


def test_a_wrong_proof_is_not_believed(monkeypatch):
    """The searches are not trusted: a factorisation that is none changes no bound."""
    from cpcert.rank.proofs import Atom, Atoms

    monkeypatch.setattr(bounds_module, "triangle_free_atoms", lambda A: Atoms((Atom(1, ((0, 1), (1, 1))),)))
    bounds = cp_rank_bounds(rows("C5"), seconds=5, sdp=False)
    assert bounds.upper is None or bounds.upper >= 5


# -- forged and broken claims ----------------------------------------------------------------------------------------


def _paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _paths(inner, (*path, key))


def _replaced(claim, path, value):
    claim = copy.deepcopy(claim)
    place = claim
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return claim


NAMES = ["C5", "lit_BermanXu_ex41", "onehot_2_3_4", "BSU_M7"]


@pytest.mark.parametrize("name", NAMES)
def test_broken_claims_are_rejected_not_crashed(name):
    claim = as_text(cp_rank_bounds(rows(name), sdp=False).claim())
    paths = list(_paths(claim))[1:]
    rng = np.random.default_rng(0)
    # The exhaustive check of copositivity takes its time.
    number = min(len(paths), 5 if name == "BSU_M7" else 30)
    chosen = [paths[int(k)] for k in rng.choice(len(paths), number, replace=False)]
    for path in chosen:
        for value in (None, 0.5, "1/0", "x", "1e5", True, {}, [], -1, "9" * 5000, {"kind": "atoms"}):
            forged = _replaced(claim, path, value)
            if forged == claim or (path == ("lower",) and value in (True,)):
                continue
            try:
                check_rank_claim(forged)
            except Rejected:
                continue
            # Nothing may be accepted but what is still true: an entry of a proof that it does not depend on.
            assert forged["lower"] == claim["lower"] and forged["upper"] == claim["upper"] and forged["A"] == claim["A"]
    for path in {path[:-1] for path in chosen}:
        place = claim
        for key in path:
            place = place[key]
        if isinstance(place, dict):
            extra = _replaced(claim, path, place | {"more": 1}) if path else claim | {"more": 1}
            with pytest.raises(Rejected):
                check_rank_claim(extra)
            for key in place:
                fewer = {k: v for k, v in place.items() if k != key}
                with pytest.raises(Rejected):
                    check_rank_claim(_replaced(claim, path, fewer) if path else fewer)


@pytest.mark.parametrize("name", ["BSU_M7", "lit_SoXu_rank3", "C5"])
def test_a_changed_matrix_is_rejected(name):
    claim = as_text(cp_rank_bounds(rows(name), sdp=False).claim())
    n = len(claim["A"])
    for i in range(n):
        forged = copy.deepcopy(claim)
        forged["A"][i][i] = str(Fraction(forged["A"][i][i]) - Fraction(1, 10**6))
        with pytest.raises(Rejected):
            check_rank_claim(forged)
    for value in (float("nan"), float("inf"), 2.0, [1], None):
        forged = copy.deepcopy(claim)
        forged["A"][0][0] = value
        with pytest.raises(Rejected):
            check_rank_claim(forged)
    for nonsense in (None, [], 3, {}, {"claim": "cp_rank"}, {"claim": ["cp_rank"]}):
        with pytest.raises(Rejected):
            check_rank_claim(nonsense)


# -- semidefinite bounds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"), [("C5", 5), ("BN_06", 9), ("FP_P23_a1_b1", 6), ("lit_Nie_61", 5), ("GD_special_5", 5)]
)
def test_semidefinite_bounds(name, expected):
    """τ_cp^sos is at least the rank, and exact on these; whatever is proven is at most the truth and checked again."""
    A = rows(name)
    proven = 0
    for bound in semidefinite_bounds(A):
        if bound.proof is None:
            continue
        from cpcert.rank.proofs import as_json

        claim = {"claim": "cp_rank", "A": as_json(A), "lower": bound.lower, "lower_proof": as_json(bound.proof)}
        claim |= {"upper": None, "upper_proof": None}
        check_rank_claim(as_text(claim))
        with pytest.raises(Rejected):
            check_rank_claim(as_text(claim | {"lower": CASES[name]["cp_rank"] + 1}))
        proven = max(proven, bound.lower)
    assert proven == expected
