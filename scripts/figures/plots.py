"""The pictures in `docs/images`: SVG on a transparent ground, in colours that can be read on white and on black."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot

from .rows import Row, shown

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
OURS, OTHERS, TARGET, REFUSED, TEXT = "#2f81f7", "#8b949e", "#3fb950", "#e5534b", "#7d8590"

_STYLE = {
    "svg.hashsalt": "figures",  # the same picture gives the same file
    "svg.fonttype": "path",
    "font.size": 9,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": TEXT,
    "axes.titlecolor": TEXT,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
}


def styled() -> Any:
    """Return the context in which all pictures are drawn."""
    return mpl.rc_context(_STYLE)


def save(figure: Any, name: str) -> Path:
    """Write a picture to `docs/images`; return its path."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    path = IMAGES / name
    figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    text = "\n".join(line.rstrip() for line in path.read_text(encoding="utf-8").splitlines())
    path.write_text(text + "\n", encoding="utf-8")
    return path


def draw_rows(rows: list[Row], name: str = "bench_runtime.svg") -> Path:
    """Draw a panel of bars for each row: ours, the others, and the first target where it has the unit of the bars."""
    with styled():
        tall = (len(rows) + 1) // 2
        figure, axes = pyplot.subplots(tall, 2, figsize=(11, 1.9 * tall), layout="constrained")
        for axis in axes.flat[len(rows) :]:
            axis.set_axis_off()
        for axis, row in zip(axes.flat, rows, strict=False):
            _draw_row(axis, row)
        return save(figure, name)


def _draw_row(axis: Any, row: Row) -> None:
    names = list(row.values)[::-1]
    values = [row.values[who] for who in names]
    colours = [OURS if who.startswith("ours") else OTHERS for who in names]
    bars = axis.barh(names, values, color=colours, height=0.65)
    labels = [
        f"{shown(value)}{_short(row.notes.get(who, ''))}" for who, value in zip(names, values, strict=True)
    ]
    axis.bar_label(bars, labels, padding=3, fontsize=8)
    axis.set_xlim(0, max(values) * (1.75 if row.notes else 1.15))
    axis.set_title("\n".join(textwrap.wrap(f"{row.what} ({row.unit})", 62)), loc="left")
    axis.tick_params(length=0)
    axis.xaxis.set_visible(False)
    axis.spines["bottom"].set_visible(False)
    axis.set_ylim(-0.6, max(len(names), 3) - 0.4)
    if row.goal is not None:
        axis.axvline(row.goal, color=TARGET, linestyle="--", linewidth=1)


def _short(note: str) -> str:
    return f"   {note}" if note else ""
