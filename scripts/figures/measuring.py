"""Measuring side by side on a machine that is not quiet: in turns, and the best of each."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Measure = Callable[[], float]


def in_turns(measures: Mapping[str, Measure], rounds: int) -> dict[str, list[float]]:
    """Call each measure `rounds` times, in turns, so that what disturbs one disturbs all; return what each gave."""
    results: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            results[name].append(measure())
    return results


def best(results: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the least of each: what it takes where nothing disturbs it."""
    return {name: min(values) for name, values in results.items()}


def median_ratio(values: Sequence[float], to: Sequence[float]) -> float:
    """Return the median, over the rounds, of the ratios within a round."""
    return statistics.median(value / base for value, base in zip(values, to, strict=True))


def seconds_per_call(call: Callable[[], object], calls: int) -> float:
    """Return what one of this many calls took."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls
