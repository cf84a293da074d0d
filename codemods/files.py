"""Plans files, over several processes if that pays, and the runtime modules beside them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from multiprocessing import connection, resource_tracker
from pathlib import Path
from typing import Any

from . import render
from .find_files import python_files
from .model import FilePlan, Options, Problem
from .plan import is_candidate, plan

__all__ = ["plan_file", "plan_files", "python_files", "runtime_plans"]

_POOL_FROM = 1_000_000
"""Bytes of files that may have calls; starting processes takes as long as reading so many."""
_CHUNK = 50_000
"""Bytes that a process is given at a time."""
_MOST_PROCESSES = 61
"""What Windows allows."""
LARGEST = 100_000_000
"""Bytes of a file that is read at all; what may have calls is to be smaller (`Options.largest`)."""


def read(path: Path) -> bytes:
    """Return a file's content; raise OSError, also for what is no file or too large."""
    if not path.is_file():
        raise OSError(0, "it is not a regular file" if path.exists() else "it is not there")
    if path.stat().st_size > LARGEST:
        raise OSError(0, f"it is larger than {LARGEST // 1_000_000} MB")
    return path.read_bytes()


def plan_file(path: Path, options: Options, source: Path | None = None) -> FilePlan:
    """Plan one file; `source` is where its original is read from, if not from the file itself."""
    try:
        before = b"" if source is not None and not path.exists() else read(path)
        data = before if source is None else read(source)
    except OSError as error:
        return _unreadable(path, error)
    planned = _plan_data(data, path, options)
    return planned if source is None else replace(planned, before=before, made_from=data)


def _unreadable(path: Path, error: OSError) -> FilePlan:
    return FilePlan(path, b"", b"", problems=(Problem(0, f"it cannot be read: {error.strerror}"),))


def _plan_data(data: bytes, path: Path, options: Options) -> FilePlan:
    in_package = (path.parent / "__init__.py").exists()
    try:
        return plan(data, path, options, in_package)
    except Exception as error:  # one file, whatever it does to us, never ends the run
        reason = f"this tool failed on it ({type(error).__name__}: {error}); please report this"
        return FilePlan(path, data, data, problems=(Problem(0, reason),))


def plan_files(
    paths: list[Path], options: Options, jobs: int = 0, progress: Callable[[int], None] | None = None
) -> list[FilePlan]:
    """Plan files, spread over the cores if there is enough to do.

    Args:
        jobs: how many processes; 0: as many as there are cores.
        progress: called with the number of files that are done.
    """
    plans: dict[int, FilePlan] = {}
    sizes: dict[int, int] = {}
    for index, path in enumerate(paths):
        try:
            data = read(path)
        except OSError as error:
            plans[index] = _unreadable(path, error)
            continue
        if is_candidate(data, options):
            sizes[index] = len(data)
        else:
            # Most files of a large project; their content is needed only where it imports the runtime.
            kept = data if render.RUNTIME_MODULE.encode() in data else b""
            plans[index] = FilePlan(path, kept, kept)
    done = len(plans)
    jobs = min(jobs or _cores(), len(sizes), _MOST_PROCESSES)
    if jobs > 1 and sum(sizes.values()) >= _POOL_FROM:
        outcomes = _in_processes({index: paths[index] for index in sizes}, sizes, options, jobs)
    else:
        outcomes = ((index, plan_file(paths[index], options)) for index in sizes)
    with contextlib.closing(outcomes):  # so that Ctrl-C ends the processes here and now
        for index, planned in outcomes:
            plans[index] = planned
            done += 1
            if progress is not None:
                progress(done)
    return [plans[index] for index in range(len(paths))]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _plan_chunk(chunk: list[tuple[int, Path]], options: Options) -> list[tuple[int, FilePlan]]:
    return [(index, plan_file(path, options)) for index, path in chunk]


_Outcome = list[tuple[int, FilePlan]]
_Pipe = Any  # a multiprocessing.connection.Connection, or on Windows a PipeConnection
_CRASHED = (EOFError, OSError)
"""What a pipe raises when the process at its other end is no more, also in the middle of an answer."""


def _work(pipe: _Pipe, plan_chunk: Callable[[list[tuple[int, Path]], Options], _Outcome]) -> None:
    """Plan chunks in a process of its own, until the main process goes away.

    Ctrl-C, unless it is ignored, ends the process at once and without a word; it writes nothing.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with contextlib.suppress(EOFError, ConnectionError):
        outcome: _Outcome = []  # says that it is ready
        while True:
            pipe.send(outcome)
            outcome = plan_chunk(*pipe.recv())


@contextlib.contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Put off Ctrl-C. Processes that are started meanwhile inherit that, up to `_work`."""
    came: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    # The mask alone would not do: with another thread, a progress bar's, the signal still reaches the process.
    noted = callable(before) and threading.current_thread() is threading.main_thread()
    if noted:
        signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    masked = hasattr(signal, "pthread_sigmask")
    if masked:
        resource_tracker.ensure_running()  # what the first process would start, and lift the mask by that
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if masked:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if noted:
            signal.signal(signal.SIGINT, before)
            if came:
                signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _processes(number: int) -> Iterator[list[_Pipe]]:
    """Start processes and give the pipes to them; kill them at the end, whatever it is that ends.

    A process may be killed at any moment, also by Ctrl-C in the middle of an answer, and nobody waits for the rest of
    it: each has a pipe of its own, the main process keeps no copy of the other end, and there are no locks or threads.
    """
    # Not "fork": a progress bar has a thread, and what it holds would be held for ever in the child.
    context = multiprocessing.get_context("spawn")
    processes = []
    pipes = []
    try:
        with _ctrl_c_later():
            for _ in range(number):
                pipe, other_end = context.Pipe()
                pipes.append(pipe)
                with other_end:
                    process = context.Process(target=_work, args=(other_end, _plan_chunk), daemon=True)
                    process.start()
                processes.append(process)
        yield pipes.copy()
    finally:
        with _ctrl_c_later():
            for process in processes:
                process.kill()
            for process in processes:
                process.join()
            for pipe in pipes:
                pipe.close()


def _in_processes(
    paths: dict[int, Path], sizes: dict[int, int], options: Options, jobs: int
) -> Generator[tuple[int, FilePlan], None, None]:
    """Yield the plans as they come. A file that crashes its process is tried once more alone, and then named."""
    left = dict(paths)
    chunks = _chunks(paths, sizes)
    with _processes(jobs) as pipes:
        while pipes:
            ready: list[_Pipe] = connection.wait(pipes)
            for pipe in ready:
                outcome: _Outcome = []
                try:
                    outcome = pipe.recv()
                    pipe.send((next(chunks), options))  # it only waits for that, so this cannot wait for it
                except (*_CRASHED, StopIteration):
                    pipes.remove(pipe)
                for index, planned in outcome:
                    del left[index]
                    yield index, planned
    while left:
        yield from _one_by_one(left, options)


def _one_by_one(left: dict[int, Path], options: Options) -> Iterator[tuple[int, FilePlan]]:
    """Yield plans that one process makes, up to the file that crashes it."""
    with _processes(1) as (pipe,):
        try:
            pipe.recv()
        except _CRASHED:  # no process can be started here
            for index, path in left.items():
                yield index, plan_file(path, options)
            left.clear()
            return
        for index, path in list(left.items()):
            del left[index]
            try:
                pipe.send(([(index, path)], options))
                outcome: _Outcome = pipe.recv()
            except _CRASHED:
                reason = "reading it crashed Python; please report this"
                yield index, FilePlan(path, b"", b"", problems=(Problem(0, reason),))
                return
            yield from outcome


def _chunks(paths: dict[int, Path], sizes: dict[int, int]) -> Iterator[list[tuple[int, Path]]]:
    """Yield the files in portions of about the same size; the large ones first, so that none comes last alone."""
    chunk: list[tuple[int, Path]] = []
    size = 0
    for index in sorted(paths, key=lambda index: -sizes[index]):
        chunk.append((index, paths[index]))
        size += sizes[index]
        if size >= _CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def runtime_plans(plans: Iterable[FilePlan], options: Options) -> list[FilePlan]:
    """Plan the runtime module of each folder that the planned files lie in: put there, brought up to date, taken out."""
    folders: dict[Path, list[FilePlan]] = {}
    for planned in plans:
        folders.setdefault(planned.path.parent, []).append(planned)
    result = [_runtime_plan(folder, files, options) for folder, files in folders.items()]
    return [planned for planned in result if planned is not None]


def _runtime_plan(folder: Path, files: list[FilePlan], options: Options) -> FilePlan | None:
    path = folder / f"{render.RUNTIME_MODULE}.py"
    needed = any(file.needs_runtime and not file.problems for file in files)
    try:
        before = read(path) if path.exists() else b""
    except OSError as error:
        return _unreadable(path, error) if needed else None
    if not needed and (not before or not options.remove):
        return None
    state = render.runtime_state(before) if before else "missing"
    planned = FilePlan(path, before, before)
    replaceable = state in ("missing", "old") or (state == "edited" and options.overwrite_edited)
    if needed and replaceable:
        planned = replace(planned, after=render.runtime_module())
    elif needed and state != "current":
        reason = {
            "edited": "it was edited by hand; give --overwrite-edited to lose the edit",
            "newer": "it was made by a newer version of this tool; update the tool",
            "foreign": "it is not ours, and the runtime would have its name; rename it",
        }[state]
        planned = replace(planned, problems=(Problem(1, reason),))
    elif not needed and state != "foreign" and not _still_used(folder, files):
        if state in ("current", "old") or options.overwrite_edited:
            planned = replace(planned, after=b"")
        else:
            why = "edited by hand" if state == "edited" else "made by a newer version of this tool"
            reason = f"nothing needs it any longer, but it was {why}; delete it, or give --overwrite-edited"
            planned = replace(planned, problems=(Problem(1, reason),))
    return planned if planned.changed or planned.problems else None


def _still_used(folder: Path, files: list[FilePlan]) -> bool:
    """Return True if a file of the folder that is not planned, or is left alone, imports the runtime."""
    planned = {file.path.name: file.after for file in files}
    for path in folder.glob("*.py"):
        if path.name == f"{render.RUNTIME_MODULE}.py":
            continue
        with contextlib.suppress(OSError):
            if render.RUNTIME_MODULE.encode() in planned.get(path.name, b"") or (
                path.name not in planned and render.RUNTIME_MODULE.encode() in path.read_bytes()
            ):
                return True
    return False
