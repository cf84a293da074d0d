"""`add-queue-backoff` for the blocks of the pages: forked from a process that has read its modules.

The pages run the command dozens of times, and most of what each run takes is the imports. What is run, and how it is
seen from a shell, is the same: the installed command's function, with the arguments, the folder, the environment and
the open files of whoever calls it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from backend_retrofit.codemods.blocks.templates import runtime_module
from backend_retrofit.codemods.command.entry import add_queue_backoff
from backend_retrofit.codemods.command.main import main as _read  # noqa: F401 so that its modules are read here

ROOT = Path(__file__).resolve().parent.parent.parent
_CALLER = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as process:
    process.connect({address!r})
    socket.send_fds(process, [b"."], [0, 1, 2])
    process.sendall(json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode())
    process.shutdown(socket.SHUT_WR)
    sys.exit(int(process.recv(9) or 99))
"""


@contextlib.contextmanager
def forked_command() -> Iterator[str]:
    """Yield a folder with the command, and have a process meanwhile that it is forked from."""
    # Not in pytest's folder: the address of a socket has a hundred characters at most.
    with tempfile.TemporaryDirectory() as folder, _process(Path(folder)):
        yield folder


@contextlib.contextmanager
def _process(folder: Path) -> Iterator[None]:
    address = str(folder / "address")
    caller = folder / "add-queue-backoff"
    caller.write_text(_CALLER.format(python=sys.executable, address=address))
    caller.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        number = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(number)], cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[number]
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def _fork_from(listener: socket.socket) -> NoReturn:
    runtime_module()
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _run(connection)
        connection.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _run(connection: socket.socket) -> NoReturn:
    """Run the command as the process at the other end was called, and tell it the exit status."""
    try:
        _, files, _, _ = socket.recv_fds(connection, 1, 3)
        with connection.makefile() as told:
            sys.argv, folder, environment = json.load(told)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        status = add_queue_backoff()
        sys.stdout.flush()
        connection.sendall(str(status).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


if __name__ == "__main__":
    _fork_from(socket.socket(fileno=int(sys.argv[1])))
