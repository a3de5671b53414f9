"""Smallest sets of caps that hit every one of some needed sets (bit sets), and why fewer do not."""

from __future__ import annotations

# Nodes of one search for a hitting set.
HITTING_NODES = 100_000


def smallest_hitting_set(sets: list[int], at_least: int = 0) -> tuple[int, int | None]:
    """(size, hitting): a smallest bit set that meets every one of `sets`, none of them empty, whose size is at least `at_least`.

    By iterated deepening, complete; when nodes run out, (a proven lower bound of the size, None).
    """
    nodes = HITTING_NODES

    def search(chosen: int, banned: int, left: int) -> int | None:
        nonlocal nodes
        nodes -= 1
        rest = sorted((s & ~banned for s in sets if not s & chosen), key=int.bit_count)
        if not rest:
            return chosen
        apart, count = 0, 0
        for s in rest:
            if not s & apart:
                apart |= s
                count += 1
        if count > left or not rest[0] or nodes < 0:
            return None
        first = rest[0]
        while first:
            bit = first & -first
            first ^= bit
            found = search(chosen | bit, banned, left - 1)
            if found is not None:
                return found
            banned |= bit  # from here on sets without it
        return None

    size = at_least
    while True:
        found = search(0, 0, size)
        if nodes < 0:
            return size, found
        if found is not None:
            return size, found
        size += 1


def refutation(sets: list[int], least: int) -> tuple[list[int], list[int]]:
    """(the places of the sets that are used, a tree of WIDTH.md, "Hitting sets", on these) that no least − 1 caps hit all sets.

    `least` must be a lower bound found by smallest_hitting_set; ([], []) for 0.
    """
    steps: list[tuple[int, tuple[int, ...]]] = []

    def search(chosen: int, banned: int) -> None:
        rest = sorted(
            (at for at, s in enumerate(sets) if not s & chosen), key=lambda at: (sets[at] & ~banned).bit_count()
        )
        apart, packing = 0, []
        for at in rest:
            if not sets[at] & ~banned & apart:
                apart |= sets[at] & ~banned
                packing.append(at)
        if not sets[rest[0]] & ~banned:
            packing = rest[:1]
        if len(packing) + chosen.bit_count() >= least or not sets[rest[0]] & ~banned:
            steps.append((0, tuple(sorted(packing))))
            return
        steps.append((1, (rest[0],)))
        first = sets[rest[0]] & ~banned
        while first:
            bit = first & -first
            first ^= bit
            search(chosen | bit, banned)
            banned |= bit

    if least:
        search(0, 0)
    used = sorted({at for _, places in steps for at in places})
    number = {at: place for place, at in enumerate(used)}
    stream: list[int] = []
    for code, places in steps:
        own = [number[at] for at in places]
        if code:
            stream += [1, own[0]]
        else:
            stream += [0, len(own), *(b - a - 1 for a, b in zip([-1, *own], own, strict=False))]
    return used, stream
