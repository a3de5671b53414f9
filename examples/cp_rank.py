"""
Completely positive matrices
============================

A matrix is completely positive if it is A = BBᵀ with an entrywise nonnegative B; the least number of columns of B is its
cp-rank. Interpolating the identity with one hidden layer of ReLU neurons is the same question, which is why cpcert answers it.
"""

from fractions import Fraction

import cpcert

# %%
# The matrix of a five-cycle with heavy enough diagonal. Entries are integers or fractions: a claim about a matrix is about
# exactly these numbers.

n = 5
A = [[0] * n for _ in range(n)]
for i in range(n):
    A[i][i] = 2
    A[i][(i + 1) % n] = A[(i + 1) % n][i] = 1

bounds = cpcert.cp_rank(A)
print(bounds)

# %%
# A diagonal that is too small for the edges: no nonnegative factorisation exists, with a proof.

for i in range(n):
    A[i][i] = Fraction(3, 2)
print(cpcert.completely_positive(A))

# %%
# B_N, the matrix of the complete bipartite graph: its cp-rank grows with the square of the order, and so does the number of
# neurons that an optimal network needs (Prop. 13 and 14, Remark 23 of the paper).

for N in (4, 6, 8):
    graph = cpcert.bipartite(N)
    print(N, graph.lower, graph.upper)
