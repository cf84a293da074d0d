#!/usr/bin/env python3
"""Show all processes of the accounts that share a limit: scripts/watch --shared redis://127.0.0.1:6379 [--seconds 30]

Reads what Redis knows, and writes nothing. Needs, besides the least rights of docs/sharing.md, +scan and +hgetall.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

PATTERN = "request-queue:*:state"
READ = """
local shown = {processes = {}}
local fields = redis.call('HGETALL', KEYS[1])
for index = 1, #fields, 2 do
    if fields[index] == 'account' then shown.account = cmsgpack.unpack(fields[index + 1]) end
    if string.sub(fields[index], 1, 2) == 'm:' then
        shown.processes[#shown.processes + 1] = {string.sub(fields[index], 3), cmsgpack.unpack(fields[index + 1])}
    end
end
local clock = redis.call('TIME')
shown.now = clock[1] * 1000 + clock[2] / 1000
return cjson.encode(shown)
"""
"""Reads one state, which is packed; see script_state.py in the runtime."""


def accounts(client: Any) -> list[dict[str, Any]]:
    """Return what each account on the server has: its name (a hash), limit, requests in flight and waiting, processes."""
    found = []
    for key in sorted(client.scan_iter(PATTERN, count=1000)):
        shown = json.loads(client.eval(READ, 1, key))
        account, now = shown.get("account"), shown["now"]
        if account is None:  # it ended just now
            continue
        processes = [
            {
                "id": name,
                "in_flight": member["granted"] - member["returned"],
                "waiting": sum(run[2] - run[1] + 1 for run in member["runs"]),
                "requests": member["granted"] - member["unused"],
                "silent_seconds": max(now - member["at"], 0) / 1000,
            }
            for name, member in (shown["processes"] or [])
        ]
        found.append(
            {
                "account": key.split("{")[1].split("}")[0],
                "limit": account["limit"],
                "in_flight": account["total"],
                "waiting": sum(process["waiting"] for process in processes),
                "hold_seconds": max(account["hold"] - now, 0) / 1000,
                "settling": account["fresh"] > now,
                "processes": sorted(processes, key=lambda process: process["id"]),
            }
        )
    return found


def line(account: dict[str, Any]) -> str:
    """Return an account as one line, for a pipe."""
    return (
        f"{account['account'][:8]}  limit {account['limit']:>4}  running {account['in_flight']:>4}  "
        f"waiting {account['waiting']:>4}  hold {account['hold_seconds']:.1f} s  "
        f"processes {len(account['processes'])}{'  settling' if account['settling'] else ''}"
    )


def table(found: list[dict[str, Any]]) -> Table:
    """Return all accounts and their processes, for a terminal."""
    result = Table("account", "process", "running", "waiting", "requests", "silent", expand=True)
    for account in found:
        state = "settling after a restart" if account["settling"] else ""
        hold = f"held for {account['hold_seconds']:.1f} s" if account["hold_seconds"] else ""
        result.add_row(
            f"[bold]{account['account'][:8]}[/]", " ".join(filter(None, (hold, state))),
            f"[bold]{account['in_flight']}[/] of {account['limit']}", f"[bold]{account['waiting']}[/]",
        )  # fmt: skip
        for process in account["processes"]:
            result.add_row(
                "", process["id"][:8], str(process["in_flight"]), str(process["waiting"]), str(process["requests"]),
                f"{process['silent_seconds']:.1f} s",
            )  # fmt: skip
        result.add_section()
    return result


def main() -> int:
    """Look every half second, or, in a pipe, print a line for each account every second; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/watch --shared", description=__doc__.split("\n\n")[0])
    parser.add_argument("url", help="redis://, rediss:// or unix://, as in shared_queue")
    parser.add_argument("--seconds", type=float, default=30, help="how long (default: 30)")
    arguments = parser.parse_args()
    import redis

    console, end = Console(), time.monotonic() + arguments.seconds
    try:
        client = redis.Redis.from_url(arguments.url, decode_responses=True, socket_timeout=5)
        if console.is_terminal:
            with Live(table(accounts(client)), console=console, auto_refresh=False) as live:
                while time.monotonic() < end:
                    time.sleep(0.5)
                    live.update(table(accounts(client)), refresh=True)
            return 0
        while True:
            for account in accounts(client):
                print(line(account), flush=True)
            if time.monotonic() + 1 > end:
                return 0
            time.sleep(1)
    except KeyboardInterrupt:
        return 0
    except (redis.RedisError, ValueError) as error:  # the URL may hold a password: it is not shown
        print(f"scripts/watch: the server cannot be read ({type(error).__name__})", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
