"""Mutants of the checker that no certificate can tell from it, or that are as sound, each with the reason."""

from __future__ import annotations

import re

# A pattern of keys (checker_mutants.py: function, change, statement) → why they are left out.
EQUIVALENT: dict[str, str] = {
    # Limits of time and memory, precisions that other numbers would do for.
    r"in (FILE_BYTES, HEADER_BYTES|ARRAYS, EXPONENT|OPEN, RANK|PIECE|WORK, |MEMORY, |CHUNK).*=": (
        "a limit, or how much is done at once: others would do"
    ),
    r"in (T, CAP, BEYOND|FINE|BITS|QUOTIENT) =": "a precision: what is computed with it is rounded to the safe side, whatever it is",
    r"EXPONENT, '|EXPONENT → abs\(e\) < EXPONENT in ": "a limit on exponents, there to keep integers short",
    r"len\(nodes\) \* size [<→]|len\(nodes\) \* size <= OPEN →|→ len\(node\.path\) < size in": "a limit of memory",
    r"others \* tree\.N [<→]|others \* tree\.N <= OPEN →|→ depth < tree\.N in": "a limit of memory",
    r"len\((entries|relations)\) <= problem\.N .*→ isinstance|→ isinstance\((entries|relations), list\) in": (
        "a limit: points must differ anyway"
    ),
    r"^_rational: len\(text\) <= DIGITS → ": "a limit: others would do",
    r"^Moments\.form: 0 → 1 in x, z = ": "z_i of a point with a sign is read nowhere",
    r"^(Moments\.__init__|check_moment_part|moment_matrix): .* in (spend\(|large = |self\.wide = )": "what a step is said to cost",
    r"^Moments\.__init__: 0 → 1 in forest = ": "the grid of trees, of which there are none",
    r"^(Moments\.__init__: (1 → 0 in self\.points|forest\.bits)|moment_matrix: .* in (coefficients|lane) = )": (
        "lanes have more than two bytes to spare, and wider ones are as good"
    ),
    r"^(check_directions|_reduced_outputs): k <= RANK → k < RANK": "a limit: others would do",
    r"^parse: .* in require\(len\(content\) < FILE_BYTES": "a limit: others would do",
    r"^Node\.tighten: value < tree\.least → value <= tree\.least": "a limit: others would do",
    # Python.
    r"^: .* in sys\.exit\(main": "the file as a program, which tests/test_certificate.py runs",
    r": True → False in ": "zip(strict=True) of lists that have the same length by what is checked before",
    r": values\.byteswap\(\) → pass in ": "only machines that store the highest byte first come here",
    r"^_decimal: .* - int\(piece\)": "numerator and denominator both change their signs",
    r"^parse: len\(content\) >= 16 and size <= .* → size <= ": "size <= len(content) - 16 says the same, size being >= 0",
    r"^parse: (len\(content\) >= 16 → len\(content\) > 16|16 → 17) in require\(len": "a header of 0 bytes is no JSON",
    r"^parse: (kind == 'float64' → .*|10 → 11|8 → 9) in raw = ": "how much is decompressed at most: its length is checked again",
    r"^_decompress: (1 → 2 in raw|len\(raw\) <= most and .* → stream\.eof and )": "how much is decompressed: checked again",
    r"isinstance\(entry, list\) and .* → len\(entry\) == 2 and ": "else nothing has two entries, an int first",
    # Roots, exponentials, logarithms.
    r"^(norm_up|fraction_root_up): (80 → 81 in def|.* in more = )": "a root with more or fewer bits, still rounded up",
    r"^(power|shifted|log_bounds): (e >= 0 → e > 0|k >= 0 → k > 0|k > 0 → k >= 0|0 → 1) in ": "both branches agree at 0",
    r"^_log_near_one: guess < 0 → guess <= 0 ": "both branches agree at 0",
    r"^exp_bounds: (60 → 61|100 → 101|x < -100 → x <= -100) in ": "another term, or an enclosure that holds on both sides",
    r"^exp_bounds: .* in (return \(0, 1 << BITS - 144\)|if x < -100:)": "what is below e**-100: any power of two above is as sound",
    r"^exp_bounds: .* in high \+= 2 \* term_high": (
        "thirty terms below one unit are rounded up to a whole one each: far more than the rest of the series"
    ),
    r"^exp_bounds: .* in (term_high|low, high|s_low) = |^exp_bounds: .*term_low": (
        "a unit or two of 2**-160, where thirty terms are rounded outward by nearly one each"
    ),
    r"^_log_near_one: .* in (below|above|t_low, t_high|low, high) = ": (
        "a unit of 2**-160, where the enclosure of e**-L is wider by a hundred units"
    ),
    # Comparisons that cannot be equalities, or where both sides give the same.
    r"^check_relation: (0 → 1|next\(.*) in if next\(": "which of the two ends of a line gives it its name",
    r"^activate: z > 0 → z >= 0 ": "both branches agree at 0",
    r"^loss_upper: (y > 0 → y >= 0|0 → 1) in t = |^conjugate_lower: y > 0 → y >= 0 in p = ": (
        "labels are ±1 over a fine unit: no integer lies between"
    ),
    r"^loss_upper: max\(\(z for z": "any pivot gives the same sum; the largest keeps the exponentials small",
    r"^loss_upper: (0 → 1 in total \+= max|1 → 0 in (total|exponentials))": (
        "the other end of an enclosure, 2**-150 away: below the rounding of the value to float64"
    ),
    r"^conjugate_lower: 0 → 1 in total \+= ": "the other end of an enclosure, 2**-100 away: below the rounding to float64",
    r"^Problem\._check_targets: Fraction\(1\) / ": "labels of ±1 alone are integers over 2**0, where both are 1",
    r"^check_repair: 0 → 1 in longest = ": "the longest of no neurons, times √0",
    r"^Node\.bound: (weight < 0 → weight <= 0|weight > 0 → weight >= 0|0 → 1 in if weight [<>] 0)": "weights of points used are not 0",
    r"^Node\.\w+: (side > 0 → side >= 0|s > 0 → s >= 0|rho > 0 → rho >= 0) ": "they are not 0 here",
    r"^Node\.tighten: (value < self\.high\[i\] → value <= |-value > self\.low\[i\] → -value >= )": "both branches agree there",
    r"^Node\.bound: (bottom|top) (>|>=|<|<=) 0 → (bottom|top) (>|>=|<|<=) 0 in ": "times 0: both branches agree",
    r"^Node\.bound: bottom < 0 < top → bottom <=? 0 <=? top in alpha": "an end is 0, so 0 is among the values already",
    r"^Node\.close: 0 <= i < self\.tree\.N and .* → 0 <= i < self\.tree\.N in moved": "intervals of points without weight never move",
    r"^Node\.tighten: gram\[.\] or tree\.forest\.row\(.\) → ": "the Gram matrix computed again: slower",
    r"^check_(plane|spectral): (0 → 1|max\(.*) in (least|most) = |^norm_matrix: 0 → 1 in (rows = |spend\(mult)": "of no points",
    r"^network_outputs: z > 0 → z >= 0 in hidden = ": "σ(0) = 0 by both slopes",
    r"^Node\.bound: 0 → 1 in if bottom >= 0": "from 0 on the chord is the line itself",
    r"^Tree\._price: 1 → 2 in self\.least": "a limit: others would do",
    r"^check_moment_part: 0 <= count <= size \* size → 0 <= count < ": "each at most once, which are fewer",
    r"^_reduced_outputs: require\(k <= RANK.* → pass": "check_directions says the same, after steps that are paid for",
    r"^Leaf\.matrix: k \+ p - a → k \+ p \+ a in large = ": "what a step is said to cost: a is at most 0, so it is more",
    r"^check_spectral: max\(sign \* v, 0\) → min": "the same two halves, in the other order and with the other sign",
    r"^check_spectral: parts and problem\.m == 1 → problem\.m == 1|^check_spectral: False → True in check_spectral": (
        "halves of halves: the inequality holds for them too"
    ),
    r"^Leaf\.matrix: sign > 0 → sign >= 0 ": "0 is taken care of before",
    r"^_by_angle: [ab]\[0\] > 0 → ": "no ray is (0, 0)",
    # Cones: one output has weights ±1; only differences of exponents count.
    r"^Frame\.__init__: .* in fine = ": "the unit of errors, which are rounded up",
    r"^(Cones\.__init__: h > 0 → h|Frame\.__init__: column\[0\] > 0 → column\[0\]) >= 0 ": "weights are not 0",
    r"^Cones\.spread: 1 → 0 in for vertex in vertices": "the first vertex a second time: the same bits",
    r"^Packed\.extremes: 1 → 0 in for other in packed": "the first of them a second time",
    r"^Cones\.__init__: (64 → 65 in size|8 → 9 in wide) = ": "bits to spare between the numbers",
    r"^Cones\.root: 0 → 1 in vertices\.append": "exponents of all vertices are one larger",
    r"^Cones\.leaf: (size > 0 → |0 → 1 in return)": "a root in units of 2**-64: 0, or far above 1",
    r"^Packed\.choice: 1 → 2 in mask = ": "the bit above the numbers of a lane is 0",
    r"^scan_cones: 0 < code <= count → 0 <= code": "0 is a leaf",
    r"^Cones\.folded: (0 → 1|1 → 0) in (groups = |for vertex in vertices)": "what is folded, and when: slower, and the same sums",
    r"^check_spatial: (1 → 0|share\.of > 1 → share\.of >= 1) in left_out = ": "of one share nothing is left out",
    r"^Cones\.__init__: (h < 0 → h <= 0|0 → 1) in rows = ": "weights are ±1",
    r"^scan_cones: [01] → [12] in most, deepest": "a lane with a bit more, a node more that is paid for",
    # Shares: any division of the work is as good, as long as each part has an owner.
    r"in PARTS = |^Share\.left_out: 0 → 1 in for first": "how finely work is divided; which of two parts of one size comes first",
    # Units: the same numbers over another power of two.
    r"^Lanes\.__init__: .*(//|9|0|1 → 2|shift - 1|middle).* in (largest|self\.bytes|self\.middle) = ": (
        "bits to spare between the numbers"
    ),
    r"^Tree\.__init__: 64 → 65 in self\.lanes = ": "bits to spare between the numbers",
    r"^norm_matrix: 0 → 1 in S = ": "every entry is written",
    r"^norm_matrix: .* in low = min": "a finer unit of the same matrix, or a coarser one in which t² is rounded down",
    r"^_trailing_zeros: v & -v → v \| -v ": "minus the same power of two",
    r"^Tree\.__init__: .* in k = max\(": "a finer unit, or one so coarse that shifting by it fails",
    r"^Tree\.__init__: rho_grid \+ CAP - p → rho_grid \+ CAP \+ p in self\.q = ": "a finer unit",
    r"^Node\.bound: \(top << T\) // \(top - bottom\) → ": "any slope is valid",
    r"^Node\.tighten: 1 → 2 in value = ": "one more of 2**-q units, of which 2**8 and more are rounded up to one",
    r"^Leaf\.matrix: (2 → 3|k \+ p - a → k \+ p \+ a) in unit = ": "a finer unit of the same matrix",
    r"^Cover\.__init__: 0 → 1 in self\.(forest|k|wide) = ": "grids that cells do not use; the unit of no numbers",
    r"^semidefinite: 64 → 65 in spend": "the same price after rounding",
    r"^Forest\.\w+: (0 → 1 in self\.kept: |0 → 1 in spend\(0, |0 → 1 in self\.kept = |self\.kept \+ size > )": "a byte, a nanosecond",
    # More than is needed.
    r"^Node\.branch: 0 → 1 in high\[i\] = ": "an end that lies a unit of 2**-p further out",
    r"^check_directions: -?[12] → -?[012] in edges\.append|^check_directions: -1 → 1 in edges": (
        "the other end of the edge of a first vertex is still no vertex, so it lies in no cone"
    ),
    r"^check_plane: 1 → 0 in if not rays or ray": "the same ray twice: an arc of no width more",
    r"^Node\.\w+: tree\.due > CHUNK → ": "when steps are paid for: together, or one by one",
    r"^check_plane: .* in events = ": "any rays that leave no arc of half a turn",
    r"^check_plane: \(x or y\) and any\(weights\[i\]\) → x or y ": "rays of points without weight: more arcs",
    r"^check_plane: one >= 0 and .* → (one|two) >= 0 and \(mixed": "each ray is an end of two arcs",
    r"^check_plane: (mixed >= 0 → mixed > 0|0 → 1) in require\(one": "0 is at most one·two",
    r"^check_plane: .* > 0 → .* >= 0 in slope = ": "the start lies inside an arc",
    r"^check_cells: 1 → 2 in for s in ": "a constraint may be doubled",
}

# The same for rank_check.py.
RANK_EQUIVALENT: dict[str, str] = {
    r": True → False in ": "zip(strict=True) of lists that have the same length by what is checked before",
    r"^_rational: 1 → 0 in return int\(match\[1\]\)": "without a denominator the whole match is the numerator",
    r"^_dot: a and b → [ab] in ": "terms that are 0 are left out",
    r"^inverse_times: i != c and factor → i != c in ": "a row of which 0 times another is subtracted",
    r"^(_integers|positive_semidefinite): 0 → 1 in bits = ": "of no numbers",
    r"^positive_semidefinite: (1 → 0 in for j in |0 → 1 in row\[c\] = )": "entries left of the diagonal are not looked at again",
    r"^rank_modulo: (1 → 0|rank \+ 1 → rank - 1) in for i in range\(rank": "rows of pivots, which are not needed any more",
    r"^_lower: i < j → i <= j in required = |^triangle_free: u < v → u <= v ": "no vertex is its own neighbour",
    r"^_vertices: u <= v → u < v ": "of u = v both orders are the same",
    r"^_atoms: j != i and v → j != i in off = ": "zeros add nothing and are not negative",
    r"^_squares_below: -v → v in minus = ": "[[1, l], [l, W]] and [[1, -l], [-l, W]] have the same minors",
    r"^_ideal_sparse: -Fraction\(s\[a\] \* u\[i\]\) → ": "x and −x: the matrix is semidefinite for both",
    r"^_ball: 0 → 1 in V_squared = ": "of no columns, whose balls are points",
    r"^_dependent: total\.get\(pair, 0\) \+ .* → ": "all terms with the other sign: whether they add up to 0 is asked",
    r"^minimal_zeros: (v < 0 → v <= 0|0 → 1) in negative = ": "more supports are visited than need be",
    r"^minimal_zeros: 1 → 2 in _spend": "there are no supports of n + 1",
    r"^_principal_solution: 1 → 2 in (rows|sign) = ": "twice the solution: its signs are asked for, and what it is a multiple of",
    r"^_atoms: v < 0 → v <= 0 ": "entries that are 0 are left out before",
    r"^(_right_inverse: 0 → 1 in J_bits|_moments: 0 → 1 in bits)": "of no numbers",
    r"^zeros_system: 0 → 1 in of_zeros": "without zeros A is 0, and combinations of its entries cost the same",
    r"^minimal_zeros: n \* bits → n \+ bits in if": "a limit, which test_certificate_limits.py tests",
    r"^sigma_system: 2 → 3 in for u in ": "no v follows a u beyond the last one",
    r"^_sigma_upper: [vw] > 0 → [vw] >= 0 in slopes": "times an entry that is 0",
    r"^_principal_solution: last > 0 → last >= 0 ": "pivots are not 0",
    r"^_principal_solution: (min\(x\) >= 0 → min\(x\) > 0|0 → 1) in return \(False": (
        "a solution with a 0 leads to a smaller support with one, and smaller supports come first"
    ),
}


def excuse(key: str) -> str | None:
    """The reason for which a mutant is left out; None if it must die."""
    return next((reason for pattern, reason in EQUIVALENT.items() if re.search(pattern, key)), None)
