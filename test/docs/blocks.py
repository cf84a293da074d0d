"""Collects the code blocks of the README and of the pages in docs/, and runs those of one page from top to bottom.

A block is a fence with a language. HTML comments on the lines above it say what the reader need not see:

    <!-- file: clients/weather.py -->   write the block into this file of the page's folder
    <!-- first: mkdir -p src -->        run this shell command before the block
    <!-- in: checkout -->               run the block in a checkout of the project, not in the page's own folder
    <!-- port: 9464 -->                 use a free port of the machine in the place of this one
    <!-- not run: why -->               do not run it
    <!-- not this: command; why -->     do not run the lines that begin with this command

Python is run in this process, all blocks of a page in one namespace. Shell commands have the installed commands on
their PATH. A `console` block shows commands behind `$ ` with their output; `...` stands for any text in it.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
RUN = frozenset({"python", "sh", "console", "toml", "yaml", "json"})
SHOWN = frozenset({"diff", "text"})
"""Languages of blocks that are no code: what a command prints, and diffs, which scripts/update_readme makes."""
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<code>.*?)^(?P=indent)```\s*$", re.DOTALL | re.MULTILINE
)
_NOTE = re.compile(r"^ *<!-- (file|first|in|port|not run|not this): (.+?) -->$")
_FINDS_CHANGES = re.compile(r"--(diff|check)\b")
_SECONDS = 120


@dataclass(frozen=True)
class Block:
    """A block of code: where it stands, what it is, and what the comments above it say."""

    page: Path
    line: int
    language: str
    code: str
    notes: dict[str, str]

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_run(self) -> bool:
        return self.language in RUN and "not run" not in self.notes


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page, from top to bottom."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        if match["language"].startswith("{"):  # a directive of MyST
            continue
        above = text[: match.start()].rstrip("\n").split("\n")
        notes = {}
        while above and (note := _NOTE.match(above.pop())):
            notes[note[1]] = note[2]
        line = text.count("\n", 0, match.start("code")) + 1
        yield Block(page, line, match["language"], textwrap.dedent(match["code"]), notes)


class Runner:
    """Runs the blocks of one page.

    Args:
        folder: the page's own, empty at first, and the current one.
        checkout: returns a checkout of the project with the commands installed.
        environment: variables for the commands.
    """

    def __init__(self, folder: Path, checkout: Callable[[], Path], environment: dict[str, str]) -> None:
        self.folder = folder
        self.checkout = checkout
        self.environment = environment
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.ports: dict[str, int] = {}

    def run(self, block: Block) -> None:
        """Run one block; raise AssertionError, or whatever its code raises."""
        if command := block.notes.get("first"):
            self._shell(block, command)
        code = block.code
        if port := block.notes.get("port"):
            self.ports[port] = self.ports.get(port) or _free_port()
        for port, other in self.ports.items():
            code = code.replace(port, str(other))
        if name := block.notes.get("file"):
            path = self._folder_of(block) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code, encoding="utf-8")
        getattr(self, f"_{block.language}")(block, code)

    def _folder_of(self, block: Block) -> Path:
        return self.checkout() if block.notes.get("in") == "checkout" else self.folder

    def _python(self, block: Block, code: str) -> None:
        compiled = compile("\n" * (block.line - 1) + code, str(block.page), "exec")
        if "file" not in block.notes:
            exec(compiled, self.names)

    def _sh(self, block: Block, code: str) -> None:
        left_out = block.notes.get("not this", "\n").partition(";")[0]
        for command in code.replace("\\\n", " ").splitlines():
            if command.strip() and not command.startswith(("#", left_out)):
                self._shell(block, command)

    def _console(self, block: Block, code: str) -> None:
        commands = re.split(r"^\$ ", code, flags=re.MULTILINE)
        assert not commands.pop(0), f"{block.place}: the first line is no command"
        for part in commands:
            command, _, expected = part.partition("\n")
            printed = self._shell(block, command)
            pattern = re.escape(expected.strip()).replace(r"\.\.\.", ".*?")
            assert re.fullmatch(pattern, printed.strip(), re.DOTALL), (
                f"{block.place}: {command}\nprinted:\n{printed}\nthe page says:\n{expected}"
            )

    def _shell(self, block: Block, command: str) -> str:
        """Run a command and return what it prints; it must succeed, or find changes where it looks for them."""
        folder = self._folder_of(block)
        path = f"{folder / '.venv' / 'bin'}{os.pathsep}{self.environment['PATH']}"
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env={**self.environment, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        allowed = (0, 1) if _FINDS_CHANGES.search(command) else (0,)
        assert done.returncode in allowed, f"{block.place}: {command}\n{done.returncode}: {done.stdout}"
        return done.stdout

    @staticmethod
    def _toml(block: Block, code: str) -> None:
        assert tomllib.loads(code), block.place

    @staticmethod
    def _json(block: Block, code: str) -> None:
        assert json.loads(code), block.place

    def _yaml(self, block: Block, code: str) -> None:
        """Read it; run the steps of a workflow that call our command; look for the hooks of pre-commit."""
        read = yaml.safe_load(code)
        hooks = {hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
        for repo in read.get("repos", ()):
            assert {hook["id"] for hook in repo["hooks"]} <= hooks, block.place
        for step in _steps(read):
            for command in step.splitlines():
                if command.startswith("add-queue-backoff"):
                    self._shell(block, command)


def _steps(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "run" and isinstance(inner, str):
                yield inner
            else:
                yield from _steps(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _steps(inner)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
