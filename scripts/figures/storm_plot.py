"""A 429 storm over time, before and after the retrofit: requests per second, refused, in flight."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib import pyplot

from .plots import OTHERS, OURS, REFUSED, TARGET, save, styled
from .rates import at_rate
from .server import Behaviour, Server, running_server
from .storms import LIMIT, WAYS, Call, Outcome, plain, storm

BEHAVIOUR = Behaviour(seconds=0.023, at_once=LIMIT, retry_after=1)
SHOWN: dict[str, Callable[[str], Call]] = {
    "before: as it was": plain,
    "before, with urllib3's Retry": WAYS["urllib3 Retry"],
    "after the retrofit": WAYS["ours"],
}
BUCKET = Behaviour(seconds=0.023, bucket=(10, 100), retry_after=0)
SHOWN_AT_BUCKET: dict[str, Callable[[str], Call]] = {
    **{name: way for name, way in SHOWN.items() if name != "after the retrofit"},
    "after, nothing set": WAYS["ours"],
    "after, with the rate set": lambda url: at_rate(100 * 60),
}
BIN = 0.25


def main() -> None:
    """Draw `docs/images/storm.svg` and `docs/images/bucket.svg`."""
    parser = argparse.ArgumentParser(description="Draw a 429 storm before and after the retrofit.")
    parser.add_argument("--each", type=int, default=20, help="requests of each of the 64 callers")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with running_server() as server:
        for behaviour, ways, name, allowed in (
            (BEHAVIOUR, SHOWN, "storm.svg", LIMIT),
            (BUCKET, SHOWN_AT_BUCKET, "bucket.svg", 0),
        ):
            records = {way: _record(server, behaviour, made, options.each) for way, made in ways.items()}
            print(draw(records, name, allowed))


def _record(
    server: Server, behaviour: Behaviour, way: Callable[[str], Call], each: int
) -> tuple[Outcome, list[Any]]:
    server.behave(behaviour)
    outcome = storm(server, way(server.url), each)
    return outcome, server.facts()["events"]


def draw(
    records: dict[str, tuple[Outcome, list[Any]]], file: str = "storm.svg", allowed: int = LIMIT
) -> Path:
    """Draw a column for each way, with requests per second above and requests in flight below.

    Args:
        allowed: how many the server takes at once; 0: any.
    """
    with styled():
        longest = max(events[-1][0] - events[0][0] for _, events in records.values()) + BIN
        figure, axes = pyplot.subplots(
            2,
            len(records),
            figsize=(11 if len(records) < 4 else 14, 4.6),
            sharex=True,
            sharey="row",
            layout="constrained",
            height_ratios=(3, 2),
        )
        for column, (name, (outcome, events)) in enumerate(records.items()):
            _requests(axes[0][column], events, longest)
            _in_flight(axes[1][column], events, longest, allowed)
            axes[0][column].set_title(f"{name}\n{_summary(outcome)}", loc="left")
            axes[1][column].set_xlabel("seconds")
        axes[0][0].set_ylabel("requests per second")
        axes[1][0].set_ylabel("in flight at the server")
        axes[0][0].legend(loc="upper right", frameon=False)
        axes[1][0].set_xlim(0, longest)
        return save(figure, file)


def _summary(outcome: Outcome) -> str:
    return f"{outcome.failed:,} failed; {outcome.refused:,} refusals; {outcome.seconds:.1f} s"


def _requests(axis: Any, events: list[Any], longest: float) -> None:
    bins = int(longest / BIN) + 1
    answered, seen = [0.0] * bins, [0.0] * bins
    for at, _, refused in events:
        place = int((at - events[0][0]) / BIN)
        seen[place] += 1 / BIN
        answered[place] += 0 if refused else 1 / BIN
    edges = [number * BIN for number in range(bins + 1)]
    axis.stairs(seen, edges, baseline=answered, fill=True, color=REFUSED, label="refused (429)")
    axis.stairs(answered, edges, fill=True, color=OURS, label="answered")


def _in_flight(axis: Any, events: list[Any], longest: float, allowed: int) -> None:
    """Draw the most that were in flight, in every tenth of a second."""
    most = [0] * (int(longest / 0.1) + 1)
    for at, in_flight, _ in events:
        place = int((at - events[0][0]) / 0.1)
        most[place] = max(most[place], in_flight)
    axis.stairs(most, [place * 0.1 for place in range(len(most) + 1)], fill=True, color=OTHERS, alpha=0.6)
    if not allowed:
        return
    axis.axhline(allowed, color=TARGET, linestyle="--", linewidth=1)
    axis.annotate(
        f"{allowed} allowed",
        (1, allowed),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        color=TARGET,
    )
