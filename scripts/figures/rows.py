"""What a row of the table is, and the table that is printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

FIGURES = Path(__file__).resolve().parents[2] / "docs" / "figures.json"
"""What the last whole run has measured; `scripts/update_readme` makes a table of it."""


@dataclass(frozen=True)
class Check:
    """One figure that is to be reached.

    Attributes:
        sense: "≤", "≥" or "=", between `value` and `target`.
    """

    name: str
    value: float
    sense: str
    target: float

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        if self.sense == "=":
            return self.value == self.target
        return self.value <= self.target if self.sense == "≤" else self.value >= self.target

    def __str__(self) -> str:
        return f"{self.name} {shown(self.value)} ({self.sense} {shown(self.target)})"


@dataclass(frozen=True)
class Row:
    """A row of the table, and a picture in the plot.

    Attributes:
        key: what `--only` calls it.
        unit: of `values`.
        values: who -> how much; one of them is "ours".
        notes: who -> what else there is to say of it.
        goal: where ours is to be, in `unit`; it is drawn.
    """

    key: str
    what: str
    unit: str
    values: dict[str, float]
    checks: list[Check]
    notes: dict[str, str] = field(default_factory=dict)
    goal: float | None = None


def shown(value: float) -> str:
    """Return a number with as many places as say something."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def print_table(rows: list[Row], console: Console) -> None:
    """Print the rows: ours, the targets and whether they are met, and the others beside."""
    table = Table(show_lines=True)
    for name in ("what", "ours", "others", "targets", ""):
        table.add_column(name)
    for row in rows:
        others = [_said(row, name) for name in row.values if name != "ours"]
        met = ["[green]met[/]" if check.met else "[red]missed[/]" for check in row.checks]
        targets = [str(check) for check in row.checks]
        table.add_row(
            row.what, _said(row, "ours", named=False), "\n".join(others), "\n".join(targets), "\n".join(met)
        )
    console.print(table)


def _said(row: Row, name: str, named: bool = True) -> str:
    text = f"{shown(row.values[name])} {row.unit}"
    if name in row.notes:
        text += f", {row.notes[name]}"
    return f"{name}: {text}" if named else text
