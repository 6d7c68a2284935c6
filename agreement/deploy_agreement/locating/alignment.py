"""Two sequences side by side: which of the one stands for which of the other, with no two crossing."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def aligned(ones: Sequence[str], others: Sequence[str], likeness: Callable[[str, str], float]) -> list[tuple[str, str]]:
    """Give the pairs in order that are most alike in sum; a likeness below 1 makes no pair."""
    scores = [[score if (score := likeness(one, other)) >= 1 else 0.0 for other in others] for one in ones]
    best = [[0.0] * (len(others) + 1) for _ in range(len(ones) + 1)]
    for i in reversed(range(len(ones))):
        for j in reversed(range(len(others))):
            pair = scores[i][j] + best[i + 1][j + 1] if scores[i][j] else 0.0
            best[i][j] = max(best[i + 1][j], best[i][j + 1], pair)
    return [(ones[i], others[j]) for i, j in _walk(scores, best)]


def _walk(scores: list[list[float]], best: list[list[float]]) -> list[tuple[int, int]]:
    found = []
    i = j = 0
    while i < len(scores) and j < len(best[0]) - 1:
        if scores[i][j] and best[i][j] == scores[i][j] + best[i + 1][j + 1]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return found
