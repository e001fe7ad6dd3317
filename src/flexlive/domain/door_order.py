"""In which order to visit a few doors: the shortest open path by great circle."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, permutations
from typing import Final

from flexlive.domain.geography import Point, distance_m

PERMUTED_DOORS_MAX: Final = 6
IMPROVEMENT_ROUNDS_MAX: Final = 50


def order_doors(start: Point, doors: Sequence[Point]) -> list[int]:
    """Indexes into doors in visiting order, not coming back to start.

    The shortest of all orders up to PERMUTED_DOORS_MAX, above that nearest-first improved by reversals."""
    matrix = _distances(start, doors)
    if len(doors) <= PERMUTED_DOORS_MAX:
        return list(min(permutations(range(len(doors))), key=lambda order: _length(matrix, order)))
    return _improved(matrix, _nearest_first(matrix))


def path_m(start: Point, doors: Sequence[Point]) -> float:
    """Great-circle metres from start through the doors as they stand."""
    return sum(distance_m(a, b) for a, b in pairwise([start, *doors]))


def _distances(start: Point, doors: Sequence[Point]) -> list[list[float]]:
    # Row i holds the distances from door i; the last row (index -1) those from the start.
    return [[distance_m(a, b) for b in doors] for a in [*doors, start]]


def _length(matrix: list[list[float]], order: Sequence[int]) -> float:
    return sum(matrix[a][b] for a, b in pairwise([-1, *order]))


def _nearest_first(matrix: list[list[float]]) -> list[int]:
    left, order = set(range(len(matrix) - 1)), [-1]
    while left:
        here = matrix[order[-1]]
        nearest = min(left, key=lambda door: (here[door], door))
        order.append(nearest)
        left.remove(nearest)
    return order[1:]


def _improved(matrix: list[list[float]], order: list[int]) -> list[int]:
    """2-opt: reverse a stretch while that shortens the path."""
    best = _length(matrix, order)
    for _ in range(IMPROVEMENT_ROUNDS_MAX):
        before = best
        for i in range(len(order) - 1):
            for j in range(i + 2, len(order) + 1):
                candidate = order[:i] + order[i:j][::-1] + order[j:]
                length = _length(matrix, candidate)
                if length < best - 1e-9:
                    order, best = candidate, length
        if best == before:
            break
    return order
