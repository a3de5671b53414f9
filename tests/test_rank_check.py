"""Forgeries by hand: each breaks one condition of the exact checker and no other."""

from fractions import Fraction

import pytest

from cpcert.certificate.rank_check import Rejected, check_rank_claim, inverse_times
from cpcert.rank.proofs import as_json


def positive(A, proof):
    check_rank_claim({"claim": "completely_positive", "A": as_json(A), "proof": as_json(proof)})


def cp_rank(A, lower, proof):
    claim = {"claim": "cp_rank", "A": as_json(A), "lower": lower, "lower_proof": as_json(proof)}
    check_rank_claim(claim | {"upper": None, "upper_proof": None})


def rejects(reason, function, *arguments):
    with pytest.raises(Rejected, match=reason):
        function(*arguments)


def test_a_rest_that_is_not_dominant():
    proof = {"kind": "atoms", "atoms": []}
    rejects("dominant", positive, [[1, 2], [2, 1]], proof)
    rejects("dominant", positive, [[1, -1], [-1, 1]], proof)
    positive([[2, 1], [1, 1]], proof)


def test_atoms_must_be_nonnegative():
    atom = {"weight": 1, "entries": [[0, 1], [1, -1]]}
    rejects("not positive", positive, [[1, -1], [-1, 1]], {"kind": "atoms", "atoms": [atom]})
    atom = {"weight": -1, "entries": [[0, 1]]}
    rejects("not positive", positive, [[1]], {"kind": "atoms", "atoms": [atom]})


def rotation(x, y):
    """An exact factorisation of the identity by a rotation: J Jᵀ is inverted exactly, so every ball is small enough."""
    columns = [((x, y)), ((-y, x))]
    J = []
    for i, j in ((0, 0), (0, 1), (1, 1)):
        row = []
        for b in columns:
            gradient = [Fraction(0), Fraction(0)]
            gradient[i] += b[j]
            gradient[j] += b[i]
            row += gradient
        J.append(row)
    gram = [[sum(a * b for a, b in zip(r, s, strict=True)) for s in J] for r in J]
    M = inverse_times(gram, [[int(i == j) for j in range(3)] for i in range(3)])
    basis = [[1, 0], [0, 1]]
    columns = [{"basis": basis, "center": [str(v) for v in b]} for b in columns]
    return {"kind": "nearby", "rows": [0, 1], "columns": columns, "inverse": as_json(M), "rho": f"1/{10**30}"}


def test_a_factor_with_a_negative_entry():
    rejects("may be negative", positive, [[1, 0], [0, 1]], rotation(Fraction(3, 5), Fraction(4, 5)))


def test_a_column_without_a_vector():
    """It would hold n rows in memory for a few bytes of the file."""
    proof = rotation(Fraction(1), Fraction(0))
    proof["columns"].append({"basis": [], "center": []})
    rejects("basis: no vector", positive, [[1, 0], [0, 1]], proof)


def test_a_zero_in_the_middle_of_the_ball():
    """Entries 1 and 0: the 0 may become negative."""
    rejects("may be negative", positive, [[1, 0], [0, 1]], rotation(Fraction(1), Fraction(0)))


def test_a_ball_that_is_too_small():
    proof = rotation(Fraction(3, 5), Fraction(4, 5))
    rejects("itself", positive, [[1, 0], [0, 1]], proof | {"rho": 0})
    rejects("itself", positive, [[2, 0], [0, 2]], proof)
    rejects("negative", positive, [[1, 0], [0, 1]], proof | {"rho": -1})


def test_how_far_the_ball_reaches():
    """16t² = 16 + 1/20 with V = 4, R = 1/32: ρ ≥ 1/20 + V²R²ρ² = 1/20 + ρ²/64, and 4t > 0 while VRρ ≤ 4."""
    proof = {"kind": "nearby", "rows": [0], "columns": [{"basis": [[4]], "center": [1]}], "inverse": [["1/1024"]]}
    A = [[Fraction(321, 20)]]
    for rho in (1, 32):
        positive(A, proof | {"rho": rho})
    rejects("may be negative", positive, A, proof | {"rho": 33})
    rejects("itself", positive, A, proof | {"rho": 70})
    rejects("itself", positive, A, proof | {"rho": "1/20"})


def diagonal(*terms):
    """[[1, 1], [1, 1]] by the atom t(1, 1), t near 1, where only F_00 = t² − 1 is kept; the dependencies are `terms`."""
    column = {"basis": [[1, 1]], "center": [1]}
    small = {"inverse": [["1/4"]], "rho": f"1/{10**30}"}
    return {"kind": "face", "rows": [0, 1], "columns": [column], "dependencies": list(terms)} | small


def test_dependencies_on_a_face():
    ones, both = [[1, 1], [1, 1]], ([[1, 1], [0, -1]], [[2, 1], [0, -1]])
    positive(ones, diagonal(*both))
    positive(ones, diagonal([[1, -2], [0, 2]], [[2, "1/3"], [0, "-1/3"]]))
    rejects("hold for the matrix", positive, [[1, 1], [1, 2]], diagonal(*both))
    rejects("hold for the matrix", positive, [[1, 2], [2, 1]], diagonal(*both))
    rejects("hold for a column", positive, ones, diagonal(*both) | {"columns": [{"basis": [[1, 2]], "center": [1]}]})
    rejects("in another", positive, ones, diagonal([[1, 1], [2, -1]], [[2, 1], [0, -1]]))
    rejects("in another", positive, ones, diagonal([[1, 1], [0, -1]], [[1, 1], [0, -1]]))
    for empty in ([], [[1, 0]], [[1, 1], [0, -2], [0, 1]], [[1, 1], [0, -1], [2, 0]]):
        rejects("empty", positive, ones, diagonal(empty, both[1]))
    for empty in ([[2, 1], [0, -2], [0, 1]], [[2, 1], [0, -1], [1, 0]]):
        rejects("empty", positive, ones, diagonal([[1, 1], [0, -1]], empty))
    rejects("in range", positive, ones, diagonal([[1, 1], [3, -1]], both[1]))
    rejects("inverse", positive, ones, diagonal(both[0]))
    # Two columns: what holds for one of them only is no dependency.
    two = [{"basis": [[1, 1]], "center": ["3/5"]}, {"basis": [[1, 0], [0, 1]], "center": ["4/5", "4/5"]}]
    rejects("hold for a column", positive, ones, diagonal(*both) | {"columns": two})
    # An equation that says something cannot be left out.
    rejects("hold for the matrix", positive, ones, diagonal([[0, 1]]))


def test_dependencies_that_mix_the_unknowns():
    """t(1, 1, 0) + s(0, 1, 1): t² + 2ts + s² in the middle is F_00 + 2F_02 + F_22, whether or not M_ts is known."""
    A = [[4, 6, 2], [6, 9, 3], [2, 3, 1]]
    column = {"basis": [[1, 1, 0], [0, 1, 1]], "center": [2, 1]}
    terms = [[[1, 1], [0, -1], [2, -1]], [[3, 1], [0, -1], [2, -2], [5, -1]], [[4, 1], [2, -1], [5, -1]]]
    # Three equations, t² = 4, ts = 2, s² = 1, in two unknowns: J has no right inverse, whatever M is.
    proof = {"kind": "face", "rows": [0, 1, 2], "columns": [column], "dependencies": terms, "rho": "1/1000"}
    proof |= {"inverse": [[1 if i == j else 0 for j in range(3)] for i in range(3)]}
    rejects("itself", positive, A, proof)
    # t = s: F_00 = F_02 = F_22 holds for the matrix, and not for the column.
    same = proof | {"columns": [column | {"center": [1, 1]}]}
    for pair in ([[2, 1], [0, -1]], [[2, 1], [5, -1]]):
        rejects("hold for a column", positive, [[1, 2, 1], [2, 4, 2], [1, 2, 1]], same | {"dependencies": [pair]})
    wrong = [terms[0], [[3, 1], [0, -1], [2, -1], [5, -1]], terms[2]]
    rejects("hold for the matrix", positive, A, proof | {"dependencies": wrong})
    moved = [row[:] for row in A]
    moved[1][1] = 7
    rejects("hold for a column", positive, moved, proof | {"dependencies": wrong})


def pair_claim(K, K_sigma, upper, proof, slopes=(1, 0)):
    claim = {"claim": "rank_sigma", "K": as_json(K), "K_sigma": as_json(K_sigma), "beta": 0, "a_plus": slopes[0]}
    claim |= {"a_minus": as_json(slopes[1]), "lower": 0, "lower_proof": {"kind": "trivial"}, "upper": upper}
    check_rank_claim(claim | {"upper_proof": as_json(proof)})


def neurons(*x, dependencies=(), inverse=None, rho=Fraction(1, 10**30)):
    """Neurons of order 1: Σ x² = K and the sum of σ(x)²."""
    columns = [{"basis": [[1]], "center": [v]} for v in x]
    return {
        "kind": "nearby",
        "columns": columns,
        "dependencies": list(dependencies),
        "inverse": inverse,
        "rho": str(rho),
    }


def test_neurons_nearby():
    """x = 1 and −2: J = [[2, −4], [2, 0]], JJᵀ = [[20, 4], [4, 4]]."""
    M = [["1/16", "-1/16"], ["-1/16", "5/16"]]
    proof = neurons(1, -2, inverse=M)
    pair_claim([[5]], [[1]], 2, proof)
    rejects("1 is stated and 2", pair_claim, [[5]], [[1]], 1, proof)
    rejects("itself", pair_claim, [[5]], [[2]], 2, proof)
    rejects("itself", pair_claim, [[6]], [[1]], 2, proof)
    rejects("itself", pair_claim, [[5]], [[1]], 2, proof, (1, "1/2"))
    rejects("itself", pair_claim, [[5]], [[1]], 2, proof, (2, 0))
    # One neuron x = 1: both equations say x² = 1; one of them is left out.
    single = neurons(1, dependencies=[[[1, 1], [0, -1]]], inverse=[["1/4"]])
    pair_claim([[1]], [[1]], 1, single)
    rejects("hold for the matrix", pair_claim, [[1]], [[2]], 1, single)
    rejects(
        "hold for a column",
        pair_claim,
        [[1]],
        [[1]],
        1,
        neurons(-1, dependencies=[[[1, 1], [0, -1]]], inverse=[["1/4"]]),
    )
    pair_claim([[1]], [[4]], 1, neurons(1, dependencies=[[[1, 1], [0, -4]]], inverse=[["1/4"]]), (2, 0))
    # x = −1: nothing positive, so the second equation is 0 = 0.
    pair_claim([[1]], [[0]], 1, neurons(-1, inverse=[["1/4"]], dependencies=[[[1, 1]]]))
    # A neuron that is 0 counts as one that is positive.
    pair_claim([[1]], [[1]], 2, neurons(1, 0, dependencies=[[[1, 1], [0, -1]]], inverse=[["1/4"]]))
    rejects("itself|hold", pair_claim, [[1]], [["1/9"]], 1, neurons(-1, inverse=[["1/4"]], dependencies=[[[1, 1]]]))


def test_how_far_the_neurons_reach():
    """x² = 1 + 1/100 near 1, R = 1/2, ‖V‖² + ‖W‖² = 1 for x < 0: ρ ≥ 1/100 + ρ²/4, and |x − 1| ≤ ρ/2 ≤ 1 while ρ ≤ 2."""
    for rho, center in ((Fraction(1, 90), -1), (1, -1), (2, -1)):
        pair_claim([["101/100"]], [[0]], 1, neurons(center, inverse=[["1/4"]], dependencies=[[[1, 1]]], rho=rho))
    wide = neurons(-1, inverse=[["1/4"]], dependencies=[[[1, 1]]], rho=Fraction(21, 10))
    rejects("change its sign", pair_claim, [["101/100"]], [[0]], 1, wide)
    rejects("itself", pair_claim, [["101/100"]], [[0]], 1, wide | {"rho": "1/100"})
    # For x > 0 the norm is that of both families, 2: ρ ≥ 1/100 + ρ²/2 holds up to 1.98, ρ²/4 would do up to 3.98.
    both = neurons(1, inverse=[["1/4"]], dependencies=[[[1, 1], [0, -1]]], rho=Fraction(199, 100))
    pair_claim([["101/100"]], [["101/100"]], 1, both | {"rho": "197/100"})
    rejects("itself", pair_claim, [["101/100"]], [["101/100"]], 1, both)


def test_rows_that_do_not_span():
    proof = {"kind": "nearby", "rows": [0], "columns": [{"basis": [[1, 1]], "center": [1]}]}
    proof |= {"inverse": [["1/4"]], "rho": f"1/{10**30}"}
    positive([[1, 1], [1, 1]], proof)
    rejects("larger rank", positive, [[1, 1], [1, 2]], proof)
    moved = proof | {"columns": [{"basis": [[1, 2]], "center": [1]}]}
    rejects("range", positive, [[1, 1], [1, 1]], moved)
    rejects("singular", positive, [[0, 0], [0, 1]], proof)


def test_an_entry_that_no_column_reaches():
    columns = [{"basis": [[1, 0]], "center": [1]}, {"basis": [[0, 1]], "center": [1]}]
    proof = {"kind": "nearby", "rows": [0, 1], "columns": columns}
    proof |= {"inverse": [["1/4", 0], [0, "1/4"]], "rho": f"1/{10**30}"}
    positive([[1, 0], [0, 1]], proof)
    rejects("no column can reach", positive, [[1, "1/2"], ["1/2", 1]], proof)


def test_the_ball_to_the_last_digit():
    """x² = 1 + f near −1 with R = 1/2: ρ ≥ ‖F‖ + ‖1 − JR‖ρ + ρ²/4, roots rounded up to multiples of 2⁻²⁰⁰."""
    unit = Fraction(1, 2**200)
    for f, accept in ((Fraction(3, 4) - 2 * unit, True), (Fraction(3, 4) - unit, False)):
        proof = neurons(-1, inverse=[["1/4"]], dependencies=[[[1, 1]]], rho=1)
        if accept:
            pair_claim([[1 + f]], [[0]], 1, proof)
        else:
            rejects("itself", pair_claim, [[1 + f]], [[0]], 1, proof)
    # R = −1/4 and JR = 1/2: ρ ≥ 1/10 + ρ/2 + ρ²/16 from 4 − √14.4 = 0.2052668078 on.
    proof = neurons(-1, inverse=[["1/8"]], dependencies=[[[1, 1]]])
    rejects("itself", pair_claim, [["11/10"]], [[0]], 1, proof | {"rho": "20526680/100000000"})
    pair_claim([["11/10"]], [[0]], 1, proof | {"rho": "20526681/100000000"})
    root = Fraction(100251257867, 10**13)  # a little less than 2 − 2√0.99, from where on ρ is large enough
    proof = neurons(-1, inverse=[["1/4"]], dependencies=[[[1, 1]]])
    rejects("itself", pair_claim, [["101/100"]], [[0]], 1, proof | {"rho": str(root)})
    pair_claim([["101/100"]], [[0]], 1, proof | {"rho": str(root + Fraction(1, 10**10))})


def test_the_longest_basis_counts():
    """16t² + s² = 17.05 near (1, 1): ‖R‖² = 1/1028, and 100 ≥ 1/20 + ρ²/1028 would do, but not with 16 times as much."""
    columns = [{"basis": [[4]], "center": [1]}, {"basis": [[1]], "center": [1]}]
    proof = {"kind": "nearby", "rows": [0], "columns": columns, "inverse": [["1/1028"]]}
    rejects("itself", positive, [["341/20"]], proof | {"rho": 100})
    rejects("itself", positive, [["341/20"]], proof | {"rho": 100, "columns": columns[::-1]})
    positive([["341/20"]], proof | {"rho": "1/10"})


def test_neurons_by_atoms_and_by_the_lifted_matrix():
    atoms = [{"weight": 2, "entries": [[0, 1]]}, {"weight": -1, "entries": [[0, 1]]}]
    rejects("not positive", pair_claim, [[1]], [[1]], 2, {"kind": "atoms", "atoms": atoms})
    zero = [{"weight": 1, "entries": [[0, 1]]}, {"weight": 0, "entries": [[0, 1]]}]
    rejects("not positive", pair_claim, [[1]], [[1]], 2, {"kind": "atoms", "atoms": zero})
    rejects("keys", pair_claim, [[1]], [[1]], 1, {"kind": "atoms", "atoms": [zero[0] | {"more": 0}]})
    pair_claim([["1/2"]], [["1/2"]], 1, {"kind": "atoms", "atoms": [{"weight": "1/2", "entries": [[0, 1]]}]})
    # x = (1, −2), t = (p, q) = (1, 0, 0, 2); leaky with slope 1/2: σ(x) = (1, −1).
    M = [[1, 0, 0, 2], [0, 0, 0, 0], [0, 0, 0, 0], [2, 0, 0, 4]]
    factor = {"kind": "atoms", "atoms": [{"weight": 1, "entries": [[0, 1], [3, 2]]}]}
    K, S = [[1, -2], [-2, 4]], [[1, -1], [-1, 1]]
    lifted = {"kind": "lifted", "M": M, "proof": factor}
    pair_claim(K, S, 1, lifted, (1, "1/2"))
    for i, j in ((0, 0), (0, 1), (1, 1)):
        for changed, other in ((K, S), (S, K)):
            moved = [row[:] for row in changed]
            moved[i][j] = moved[j][i] = moved[i][j] + 1
            pairs = (moved, other) if changed is K else (other, moved)
            rejects("equations", pair_claim, *pairs, 1, lifted, (1, "1/2"))
    both = [[1, 1], [1, 1]]
    rejects("complementary", pair_claim, [[0]], [[0]], 1, lifted | {"M": both}, (1, 1))


def test_a_column_that_is_zero_counts():
    columns = [{"basis": [[1]], "center": [1]}, {"basis": [[1]], "center": [0]}]
    proof = {"kind": "nearby", "rows": [0], "columns": columns, "inverse": [["1/4"]], "rho": f"1/{10**30}"}
    claim = {"claim": "cp_rank", "A": [[1]], "lower": 0, "lower_proof": {"kind": "trivial"}, "upper_proof": proof}
    check_rank_claim(claim | {"upper": 2})
    rejects("1 is stated and 2", check_rank_claim, claim | {"upper": 1})


def test_too_many_equations():
    n = 32
    column = {"basis": [[int(i == j) for j in range(n)] for i in range(n)], "center": [1] * n}
    proof = {"kind": "nearby", "rows": list(range(n)), "columns": [column], "inverse": [], "rho": 1}
    rejects("528 equations", positive, [[1] * n for _ in range(n)], proof)


def test_how_deep_components_may_be_nested():
    proof = {"kind": "atoms", "atoms": []}
    for depth in range(63):
        if depth <= 61:
            positive([[1]], proof)
        else:
            rejects("deeply", positive, [[1]], proof)
        proof = {"kind": "components", "parts": [{"indices": [0], "proof": proof}]}


def test_claims_have_their_keys():
    atoms, semidefinite = {"kind": "atoms", "atoms": []}, {"kind": "semidefinite"}
    for claim in (
        {"claim": "completely_positive", "A": [[1]], "proof": atoms},
        {"claim": "not_completely_positive", "A": [[-1]], "proof": {"kind": "negative_entry", "i": 0, "j": 0}},
        {"claim": "copositive", "A": [[1]], "strictly": True, "minimal_zeros": None, "proof": semidefinite},
        {"claim": "not_copositive", "A": [[-1]], "x": [1]},
    ):
        check_rank_claim(claim)
        rejects("keys", check_rank_claim, claim | {"more": 0})
        for key in set(claim) - {"claim"}:
            rejects("keys", check_rank_claim, {k: v for k, v in claim.items() if k != key})
        rejects("known claim", check_rank_claim, claim | {"claim": "positive"})
    for proof, check in (
        (atoms, lambda parts: positive([[1]], {"kind": "components", "parts": parts})),
        (semidefinite, lambda parts: copositive([[1]], False, None, {"kind": "blocks", "parts": parts})),
    ):
        check([{"indices": [0], "proof": proof}])
        rejects("keys", check, [{"indices": [0], "proof": proof, "more": 0}])


def test_fooling_sets():
    triangle = [[2, 1, 1], [1, 2, 1], [1, 1, 2]]
    two = {"kind": "cover", "cover": {"kind": "fooling", "pairs": [[0, 1], [1, 2]]}}
    rejects("one clique", cp_rank, triangle, 2, two)
    same = {"kind": "cover", "cover": {"kind": "fooling", "pairs": [[0, 1], [1, 0]]}}
    rejects("one clique", cp_rank, triangle, 2, same)
    path = [[1, 1, 0], [1, 2, 1], [0, 1, 1]]
    cp_rank(path, 2, two)
    rejects("not required", cp_rank, path, 1, {"kind": "cover", "cover": {"kind": "fooling", "pairs": [[0, 2]]}})
    rejects("triangle", cp_rank, triangle, 1, {"kind": "cover", "cover": {"kind": "triangle_free"}})
    weights = {"kind": "weights", "weights": [[0, 1, 1], [1, 2, "1/2"]]}
    rejects("more than 1", cp_rank, triangle, 1, {"kind": "cover", "cover": weights})
    cp_rank(path, 2, {"kind": "cover", "cover": {"kind": "triangle_free"}})
    rejects("3 is stated and 2", cp_rank, path, 3, {"kind": "cover", "cover": {"kind": "triangle_free"}})
    rejects("suffice", cp_rank, triangle, 2, {"kind": "cover", "cover": {"kind": "search", "lower": 2}})
    for second, bound in ((1, 2), ("1/4", 2), (0, 1)):
        weights = {"kind": "weights", "weights": [[0, 1, 1], [1, 2, second]]}
        cp_rank(path, bound, {"kind": "cover", "cover": weights})
        rejects(f"and {bound} proven", cp_rank, path, bound + 1, {"kind": "cover", "cover": weights})


def test_components_that_overlap_or_touch():
    def part(indices):
        return {"indices": indices, "lower": 1, "proof": {"kind": "rank", "prime": 7}}

    def components(*parts):
        return {"kind": "components", "parts": [part(p) for p in parts]}

    A = [[1, 1, 0], [1, 2, 0], [0, 0, 1]]
    cp_rank(A, 2, components([0, 1], [2]))
    rejects("two blocks", cp_rank, A, 3, components([0], [0], [2]))
    rejects("between", cp_rank, A, 3, components([0], [1], [2]))
    outside = {"kind": "components", "parts": [{"indices": [0, 1], "proof": {"kind": "atoms", "atoms": []}}]}
    rejects("outside", positive, A, outside)
    empty = {"kind": "atoms", "atoms": []}
    blocks = {"kind": "components", "parts": [{"indices": [i], "proof": empty} for i in (0, 1)]}
    rejects("dominant", positive, [[1, 0], [0, -1]], blocks)


def test_what_is_left_of_the_atoms_counts():
    for A, number in (([[1]], 1), ([[1, 1], [1, 1]], 1), ([[2, 1], [1, 1]], 2)):
        claim = {"claim": "cp_rank", "A": A, "lower": 0, "lower_proof": {"kind": "trivial"}, "upper": number}
        claim |= {"upper_proof": {"kind": "atoms", "atoms": []}}
        check_rank_claim(claim)
        rejects(f"and {number} proven", check_rank_claim, claim | {"upper": number - 1})


def test_a_rank_modulo_a_composite_number():
    rejects("not a prime", cp_rank, [[2, 0], [0, 1]], 2, {"kind": "rank", "prime": 4})
    rejects("1 is stated and 0", cp_rank, [[7]], 1, {"kind": "rank", "prime": 7})
    rejects("64", cp_rank, [[1]], 1, {"kind": "rank", "prime": 2**70})


def exposing(S, steps, end):
    return {"kind": "copositive", "S": S, "node": {"steps": steps, "end": end}}


def test_exposing_matrices():
    """S = (1, −1)(1, −1)ᵀ has the zero (1, 1); A = 2(1, 1)(1, 1)ᵀ. The equations are A_00, A_01, A_11."""
    S, A = [[1, -1], [-1, 1]], [[2, 2], [2, 2]]
    step = {"positive": [0, 0], "by": [[0, -1]]}
    end = {"cover": {"kind": "fooling", "pairs": [[0, 0]]}}
    cp_rank(A, 1, exposing(S, [step], end))
    rejects("not required", cp_rank, A, 1, exposing(S, [], end))
    rejects("not implied", cp_rank, A, 1, exposing(S, [step | {"by": [[0, 1]]}], end))
    rejects("is not 0", cp_rank, [[2, 1], [1, 2]], 1, exposing(S, [step], end))
    rejects("not copositive", cp_rank, [[1, 1], [1, 1]], 1, exposing([[0, -1], [-1, 2]], [step], end))
    rejects("value that is not 0", cp_rank, A, 1, exposing(S, [{"zero": [[0, 1]]}], end))
    difference = {"zero": [[0, 1], [1, -1]]}  # M_00 − M_01 = 0 does not make M_00 vanish
    rejects("negative coefficient", cp_rank, A, 1, exposing([[0, 0], [0, 0]], [difference], end))
    rejects("not shown", cp_rank, A, 9, exposing(S, [], {"infeasible": [[0, 1]]}))
    rejects("twice", cp_rank, A, 1, exposing(S, [step | {"by": [[0, -1], [0, -1]]}], end))
    rejects("not shown", cp_rank, A, 9, exposing(S, [], {"infeasible": []}))
    rejects("not implied", cp_rank, A, 1, exposing(S, [step | {"by": []}], end))
    nothing = {"steps": [], "end": {"cover": {"kind": "fooling", "pairs": []}}}
    for zero, positive in ((nothing, {"steps": [], "end": end}), (nothing, nothing)):
        branch = {"branch": [0, 0], "zero": zero, "positive": positive}
        cp_rank(A, 0, exposing(S, [], branch))
        rejects("1 is stated and 0", cp_rank, A, 1, exposing(S, [], branch))
    # A contradiction proves any bound: (2, 1) is no multiple of (1, 1).
    other = [[4, 2], [2, 1]]
    rejects("is not 0", cp_rank, other, 9, exposing(S, [], {"infeasible": [[0, -1], [2, 1]]}))
    cp_rank([[4, 2], [2, 0]], 9, exposing(S, [], {"infeasible": [[0, -1], [1, 1]]}))
    # With S = 0 every vector is a zero, and M = A: a pair that is not zero is not removed.
    zero = [[0, 0], [0, 0]]
    rejects("value that is not 0", cp_rank, A, 9, exposing(zero, [{"zero": [[1, 1]]}], end))
    both = [{"positive": [0, 0], "by": [[0, -1]]}, {"positive": [1, 1], "by": [[2, -1]]}]
    two = {"cover": {"kind": "fooling", "pairs": [[0, 0], [1, 1]]}}
    rejects("one clique", cp_rank, A, 2, exposing(zero, both, two))
    mixed = {"positive": [0, 0], "by": [[0, -1], [2, "-1/2"]]}
    rejects("not implied", cp_rank, A, 1, exposing(zero, [mixed], end))


def test_not_completely_positive():
    def refuted(A, proof):
        check_rank_claim({"claim": "not_completely_positive", "A": A, "proof": proof})

    cycle = [[2 if i == j else int((i - j) % 5 in (1, 4)) for j in range(5)] for i in range(5)]
    horn = [[1 if i == j or (i - j) % 5 in (2, 3) else -1 for j in range(5)] for i in range(5)]
    rejects("is not negative", refuted, cycle, {"kind": "copositive", "S": horn})
    minus = [[-v for v in row] for row in horn]
    rejects("not copositive", refuted, cycle, {"kind": "copositive", "S": minus})
    rejects("not copositive", refuted, [[1, 0], [0, 1]], {"kind": "copositive", "S": [[-1, 9], [9, 0]]})
    rejects("not negative", refuted, cycle, {"kind": "triangle_free", "v": [1] * 5})
    rejects("negative number", refuted, cycle, {"kind": "triangle_free", "v": [1, 1, 1, 1, -1]})
    ones = [[1] * 3 for _ in range(3)]
    rejects("triangle", refuted, ones, {"kind": "triangle_free", "v": [1, 1, 1]})
    rejects("not negative", refuted, ones, {"kind": "not_psd", "v": [1, -1, 0]})
    rejects("not negative", refuted, ones, {"kind": "negative_entry", "i": 0, "j": 1})


def test_semidefinite_proofs():
    """A = [[1]]: l = 1, W = 1, D = 1 gives the bound 1. A larger l needs a larger W, and W is tied to D and Ω."""
    good = {"kind": "tau_sos", "l": [1], "D": [1], "Omega": [[0]], "W": [[1]]}
    cp_rank([[1]], 1, good)
    rejects("not positive semidefinite", cp_rank, [[1]], 3, good | {"l": [2]})
    rejects("a monomial", cp_rank, [[1]], 3, good | {"l": [2], "W": [[4]]})
    rejects("2 is stated and 1", cp_rank, [[1]], 2, good)
    square = good | {"D": [0], "Omega": [[1]]}
    cp_rank([[1]], 1, square)
    rejects("2 is stated and 1", cp_rank, [[1]], 2, square)
    rejects("negative entry", cp_rank, [[1]], 1, good | {"D": [-1], "W": [[-1]]})
    rejects("Omega", cp_rank, [[1]], 3, good | {"D": [2], "Omega": [[-1]]})
    part = {"vertices": [0], "s": [0], "d": [[1]], "Omega": [[0]]}
    sparse = {"kind": "ideal_sparse", "Y": [[1]], "u": [1], "cliques": [part]}
    cp_rank([[1]], 1, sparse)
    rejects("sum of squares", cp_rank, [[1]], 2, sparse | {"Y": [[2]]})
    rejects("root", cp_rank, [[1]], 1, sparse | {"u": ["1/2"]})
    rejects("root", cp_rank, [[1]], 1, sparse | {"u": [-1]})
    two = {"vertices": [0, 1], "s": [0, -1], "d": [[0, 0], [0, 0]], "Omega": [[0, 0], [0, 0]]}
    rejects(
        "negative multiplier",
        cp_rank,
        [[1, 0], [0, 1]],
        1,
        sparse | {"Y": [[0, 0], [0, 0]], "u": [1, 1], "cliques": [two]},
    )
    rejects("missing", cp_rank, [[1, 0], [0, 1]], 1, sparse | {"Y": [[1, 0], [0, 1]], "u": [1, 1],
            "cliques": [part | {"Omega": [[0, 0], [0, 0]]}]})  # fmt: skip
    rejects("negative multiplier", cp_rank, [[1]], 1, sparse | {"cliques": [part | {"s": [-1]}]})


def test_pairs():
    pair = {"claim": "rank_sigma", "K": [[2]], "K_sigma": [[2]], "beta": 0, "a_plus": 1, "a_minus": 0}
    trivial = {"lower": 0, "lower_proof": {"kind": "trivial"}}
    atom = {"weight": 2, "entries": [[0, 1]]}
    good = pair | trivial | {"upper": 1, "upper_proof": {"kind": "atoms", "atoms": [atom]}}
    check_rank_claim(good)
    negative = {"kind": "atoms", "atoms": [{"weight": 2, "entries": [[0, -1]]}]}
    rejects("not the pair", check_rank_claim, good | {"upper_proof": negative})
    M = {"kind": "lifted", "M": [[2, 0], [0, 0]], "proof": {"kind": "atoms", "atoms": []}}
    check_rank_claim(good | {"upper_proof": M})
    rejects("equations", check_rank_claim, good | {"upper_proof": M | {"M": [[1, 0], [0, 1]]}})
    rejects("complementary", check_rank_claim, good | {"upper_proof": M | {"M": [[3, "1/2"], ["1/2", 0]]}})
    linear = good | {"a_minus": 1, "lower_proof": {"kind": "cp_rank", "proof": {"kind": "trivial"}}}
    rejects("not nonnegative", check_rank_claim, linear)
    nothing = {k: v for k, v in pair.items() if k != "claim"} | {"claim": "not_in_S"}
    lifted = {"kind": "lifted", "node": {"steps": [], "end": {"cover": {"kind": "fooling", "pairs": []}}}}
    rejects("there may be", check_rank_claim, nothing | {"proof": lifted})
    for v in (1, 0):
        rejects("not negative", check_rank_claim, nothing | {"proof": {"kind": "not_psd", "of": "K", "v": [v]}})


def copositive(A, strictly, zeros, proof):
    claim = {"claim": "copositive", "A": as_json(A), "strictly": strictly, "minimal_zeros": zeros}
    check_rank_claim(claim | {"proof": as_json(proof)})


def test_copositive_claims():
    horn = [[1 if i == j or (i - j) % 5 in (2, 3) else -1 for j in range(5)] for i in range(5)]
    zeros = [[int(k in (i, j)) for k in range(5)] for i, j in ((0, 1), (0, 4), (1, 2), (2, 3), (3, 4))]
    supports = {"kind": "supports"}
    copositive(horn, False, zeros, supports)
    copositive(horn, False, None, supports)
    rejects("there are zeros", copositive, horn, True, None, supports)
    rejects("there are zeros", copositive, horn, True, zeros, supports)
    rejects("they are others", copositive, horn, False, zeros[:-1], supports)
    rejects("they are others", copositive, horn, False, [], supports)
    rejects("neither", copositive, horn, 1, None, supports)
    rejects("kind", copositive, horn, False, zeros, {"kind": "semidefinite"})
    rejects("not copositive", copositive, [[1, -2], [-2, 1]], False, None, supports)
    rejects("semidefinite", copositive, horn, False, None, {"kind": "semidefinite"})
    copositive([[2, 1], [1, 2]], True, [], supports)
    copositive([[1, -1], [-1, 1]], False, None, {"kind": "semidefinite"})
    rejects("semidefinite", copositive, [[1, -1], [-1, 1]], True, None, {"kind": "semidefinite"})
    copositive([[2, -1], [-1, 1]], True, None, {"kind": "semidefinite"})


def test_copositive_sums_and_blocks():
    A = [[1, 2, -1], [2, 1, 0], [-1, 0, 1]]
    N, rest = [[0, 2, 0], [2, 0, 0], [0, 0, 0]], {"kind": "semidefinite"}
    copositive(A, False, None, {"kind": "sum", "N": N, "rest": rest})
    rejects("semidefinite", copositive, A, True, None, {"kind": "sum", "N": N, "rest": rest})
    rejects(
        "negative", copositive, A, False, None, {"kind": "sum", "N": [[0, 2, -1], [2, 0, 0], [-1, 0, 0]], "rest": rest}
    )
    rejects(
        "semidefinite",
        copositive,
        A,
        False,
        None,
        {"kind": "sum", "N": [[0, 4, 0], [4, 0, 0], [0, 0, 0]], "rest": rest},
    )

    def blocks(*parts, proof=rest):
        return {"kind": "blocks", "parts": [{"indices": indices, "proof": proof} for indices in parts]}

    copositive(A, False, None, blocks([0, 2]))
    copositive(A, False, None, blocks([1], [0, 2]))
    rejects("semidefinite", copositive, A, True, None, blocks([0, 2]))
    larger = [[2 if i == j else v for j, v in enumerate(row)] for i, row in enumerate(A)]
    copositive(larger, True, None, blocks([0, 2]))
    rejects("outside", copositive, A, False, None, blocks([0, 1], proof={"kind": "supports"}))
    rejects("two blocks", copositive, A, False, None, blocks([0, 2], [2, 1], proof={"kind": "supports"}))
    rejects("outside", copositive, [[1, -1], [-1, 1]], False, None, blocks([0], [1]))
    hole = [[1, 0], [0, 0]]
    copositive(hole, False, None, blocks([0]))
    rejects("outside", copositive, hole, True, None, blocks([0]))
    rejects("outside", copositive, [[1, 0], [0, -1]], False, None, blocks([0]))
    in_block = {"kind": "blocks", "parts": [{"indices": [0], "proof": None}]}
    for wrap in (lambda inner: in_block | {"parts": [{"indices": [0], "proof": inner}]},
                 lambda inner: {"kind": "sum", "N": [[0]], "rest": inner}):  # fmt: skip
        deep = rest
        for _ in range(60):
            deep = wrap(deep)
        copositive([[1]], False, None, deep)
        rejects("deeply", copositive, [[1]], False, None, wrap(deep))


def test_not_copositive():
    def refuted(A, x):
        check_rank_claim({"claim": "not_copositive", "A": A, "x": x})

    refuted([[1, -2], [-2, 1]], [1, 1])
    rejects("negative", refuted, [[1, 2], [2, 1]], [1, -1])
    rejects("not", refuted, [[1, -1], [-1, 1]], [1, 1])
    rejects("entries", refuted, [[1, -2], [-2, 1]], [1])
