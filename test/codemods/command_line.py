"""The command as from a shell, but in this process: for tests that are about what it does, not about the process."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from backend_retrofit.codemods.command.main import main


def command(
    *arguments: str, cwd: Path | None = None, data: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a folder, with an environment, and with this on standard input; return what came of it.

    A process of its own would take a third of a second for its imports alone, and hundreds of tests run the command.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    before = Path.cwd()
    os.chdir(cwd or before)
    try:
        with (
            mock.patch.dict(os.environ, environment or {}, clear=environment is not None),
            mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8")),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            status = main(arguments)
    finally:
        os.chdir(before)
    return subprocess.CompletedProcess(arguments, status, out.buffer.getvalue(), err.buffer.getvalue())


def command_as_text(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Do the same; return what was printed as text."""
    done = command(*arguments, cwd=cwd)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
