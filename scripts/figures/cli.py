"""The command line of `scripts/bench_runtime`."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from .rows import FIGURES, Row, print_table

ROWS = {
    "sync": "overhead.sync",
    "function": "overhead.function",
    "method": "overhead.method",
    "body": "overhead.body",
    "async": "overhead.asynchronous",
    "openai": "overhead.openai_sdk",
    "boto3": "overhead.boto3_client",
    "callers": "callers.measure",
    "unavailable": "storms.unavailable",
    "storm": "storms.at_once",
    "rate": "storms.per_second",
    "rates": "rates.requests_a_second",
    "tokens": "rates.tokens_a_second",
    "adapting": "rates.adapting",
    "gateway": "gateway.requests_a_second",
    "gateway-at-once": "gateway.at_once",
    "tls": "tls.measure",
    "memory": "memory.measure",
}
"""In the order of the table: the module and the function of each. Only what is asked for is imported: SDKs take a second."""


def _measure(key: str, quick: bool) -> Row:
    module, _, name = ROWS[key].partition(".")
    measured: Row = getattr(importlib.import_module(f".{module}", __package__), name)(quick)
    return measured


def _rounded(row: Row) -> dict[str, Any]:
    return {**asdict(row), "values": {name: float(f"{value:.4g}") for name, value in row.values.items()}}


def main() -> None:
    """Measure the rows that are asked for; print the table. If all were measured in full, draw the plot and keep the figures."""
    parser = argparse.ArgumentParser(description="Measure queue and backoff beside what others reach.")
    parser.add_argument("--only", action="append", choices=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--quick", action="store_true", help="a few rounds, to see that it works")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # a warning for each retry is not what is measured
    console, rows = Console(), []
    for key in options.only or ROWS:
        console.print(f"[dim]{key} ...[/]")
        rows.append(_measure(key, options.quick))
    print_table(rows, console)
    files = [options.json] if options.json else []
    if not (options.only or options.quick):
        from .plots import draw_rows

        console.print(f"drawn: {draw_rows(rows)}")
        files.append(FIGURES)
    for file in files:
        file.write_text(json.dumps([_rounded(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    sys.exit(not (options.quick or all(check.met for row in rows for check in row.checks)))
