"""The pictures in `docs/images`: SVG on a transparent ground, in colours that can be read on white and on black."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot

from .rows import Row, shown

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
OURS, OTHERS, TARGET, REFUSED, TEXT = "#2f81f7", "#8b949e", "#3fb950", "#e5534b", "#7d8590"

_STYLE = {
    "svg.hashsalt": "figures",  # the same picture gives the same file
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans", "sans-serif"],
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
    """Draw a panel of bars for each row: ours, the others, and what is aimed at (dashed)."""
    with styled():
        tall = (len(rows) + 1) // 2
        figure, axes = pyplot.subplots(
            tall, 2, figsize=(11.5, 2.0 * tall), layout="constrained", squeeze=False
        )
        figure.get_layout_engine().set(wspace=0.04, hspace=0.06)  # type: ignore[call-arg]
        for axis in axes.flat[len(rows) :]:
            axis.set_axis_off()
        for axis, row in zip(axes.flat, rows, strict=False):
            _draw_row(axis, row)
        return save(figure, name)


def _draw_row(axis: Any, row: Row) -> None:
    names = list(row.values)
    colours = [OURS if who.startswith("ours") else OTHERS for who in names]
    bars = axis.barh(names, list(row.values.values()), color=colours, height=0.65)
    if row.goal is not None:
        axis.vlines(
            row.goal, -0.6, len(names) - 0.4, color=TARGET, linestyle="--", linewidth=1, alpha=0.6, zorder=0
        )
    axis.bar_label(
        bars, [f"{shown(row.values[who])}{_note(row, who)}" for who in names], padding=4, fontsize=8
    )
    axis.set_xlim(0, max(*row.values.values(), row.goal or 0) * (2.3 if row.notes else 1.15))
    axis.set_ylim(max(len(names), 6) - 0.4, -0.6)  # the first on top, bars of the same height in all panels
    axis.set_title(f"{row.what}\n", loc="left", pad=2)
    axis.text(0, 1.03, row.unit, transform=axis.transAxes, fontsize=8)
    axis.tick_params(length=0)
    axis.xaxis.set_visible(False)
    axis.spines[["bottom", "left"]].set_visible(False)


def _note(row: Row, who: str) -> str:
    return f"  ({row.notes[who]})" if who in row.notes else ""
