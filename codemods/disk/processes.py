"""Plans many files, over several processes if that pays."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from functools import partial
from multiprocessing import connection, resource_tracker
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from ..finding.follow import View
from ..finding.summary import Summary
from ..model import FilePlan, Options
from ..planning.file import is_candidate
from .project_files import module_path, project_of
from .read import unreadable
from .regular import read
from .work import Planning, Summarising, Work, without_content

_POOL_FROM = 1_000_000
"""Bytes of files that may have calls; starting processes takes as long as reading that many."""
_CHUNK = 50_000
"""Bytes that a process is given at a time."""
_MOST_PROCESSES = 61
"""What Windows allows."""


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
    view = (
        View() if options.remove else project_of(paths, options, summaries=partial(_summaries, options, jobs))
    )
    for index, path in enumerate(paths):
        try:
            data = read(path)
        except OSError as error:
            plans[index] = unreadable(path, error)
            continue
        if is_candidate(data, options) or view.module_of(module_path(path)) in view.concerned:
            sizes[index] = len(data)
        else:
            plans[index] = without_content(FilePlan(path, data, data))  # most files of a large project
    done = len(plans)
    wanted = {index: paths[index] for index in sizes}
    outcomes = _each(wanted, sizes, Planning(options, view), jobs)
    with contextlib.closing(outcomes):  # so that Ctrl-C ends the processes here and now
        for index, planned in outcomes:
            plans[index] = planned
            done += 1
            if progress is not None:
                progress(done)
    return [plans[index] for index in range(len(paths))]


def _summaries(options: Options, jobs: int, modules: dict[str, str], wanted: list[str]) -> dict[str, Summary]:
    """Return the summaries of files, given by their paths."""
    sizes: dict[int, int] = {}
    for index, path in enumerate(wanted):
        with contextlib.suppress(OSError):
            sizes[index] = os.path.getsize(path)
    paths = {index: Path(wanted[index]) for index in sizes}
    with contextlib.closing(_each(paths, sizes, Summarising(options, modules), jobs)) as outcomes:
        return {wanted[index]: summary for index, summary in outcomes}


def _each(
    paths: dict[int, Path], sizes: dict[int, int], work: Work[Any], jobs: int
) -> Generator[tuple[int, Any], None, None]:
    """Yield what comes of files, each with its number, as it comes; from several processes if there is enough to do."""
    jobs = min(jobs or _cores(), len(paths), _MOST_PROCESSES)
    if jobs > 1 and sum(sizes.values()) >= _POOL_FROM:
        yield from _in_processes(paths, sizes, work, jobs)
    else:
        for index, path in paths.items():
            yield index, work(path)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_Outcome = list[tuple[int, Any]]
_Pipe = Any  # a multiprocessing.connection.Connection, or on Windows a PipeConnection
_CRASHED = (EOFError, OSError)
"""What a pipe raises when the process at its other end has ended, also in the middle of an answer."""


def _work(pipe: _Pipe) -> None:
    """Work on portions of files in another process, until the main process ends.

    What the work is comes first through the pipe.

    Ctrl-C, unless it is ignored, ends the process at once and without a word; it writes nothing.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with contextlib.suppress(EOFError, ConnectionError):
        work: Work[Any] = pipe.recv()
        outcome: _Outcome = []  # says that it is ready
        while True:
            pipe.send(outcome)
            outcome = [(index, work(path)) for index, path in pipe.recv()]


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
def _processes(number: int, work: Work[Any]) -> Iterator[list[_Pipe]]:
    """Start processes and give the pipes to them; kill them at the end, whatever it is that ends.

    A process may be killed at any moment, also by Ctrl-C in the middle of an answer, and nobody waits for the rest of
    it: each has a pipe of its own, the main process keeps no copy of the other end, and there are no locks or threads.
    """
    # Not "fork": a progress bar has a thread, and what it holds would be held forever in the child.
    context = multiprocessing.get_context("spawn")
    processes = []
    pipes = []
    try:
        with _ctrl_c_later():
            for _ in range(number):
                pipe, other_end = context.Pipe()
                pipes.append(pipe)
                with other_end:
                    process = context.Process(target=_work, args=(other_end,), daemon=True)
                    process.start()
                processes.append(process)
        # Not as an argument: `start` would wait for ever for a process to read it that has ended meanwhile.
        told = ForkingPickler.dumps(work)
        for pipe in pipes:
            with contextlib.suppress(OSError):  # it has ended, which is found out when it is waited for
                pipe.send_bytes(told)
        del told  # the view of a large project is long
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
    paths: dict[int, Path], sizes: dict[int, int], work: Work[Any], jobs: int
) -> Generator[tuple[int, Any], None, None]:
    """Yield the outcomes as they come. A file that crashes its process is tried once more alone, and then named."""
    left = dict(paths)
    chunks = _chunks(paths, sizes)
    with _processes(jobs, work) as pipes:
        while pipes:
            ready: list[_Pipe] = connection.wait(pipes)
            for pipe in ready:
                outcome: _Outcome = []
                try:
                    outcome = pipe.recv()
                    pipe.send(next(chunks))  # it only waits for that, so this cannot wait for it
                except (*_CRASHED, StopIteration):
                    pipes.remove(pipe)
                for index, planned in outcome:
                    del left[index]
                    yield index, planned
    while left:
        yield from _one_by_one(left, work)


def _one_by_one(left: dict[int, Path], work: Work[Any]) -> Iterator[tuple[int, Any]]:
    """Yield outcomes that one process makes, up to the file that crashes it."""
    with _processes(1, work) as (pipe,):
        try:
            pipe.recv()
        except _CRASHED:  # no process can be started here
            for index, path in left.items():
                yield index, work(path)
            left.clear()
            return
        for index, path in list(left.items()):
            del left[index]
            try:
                pipe.send([(index, path)])
                outcome: _Outcome = pipe.recv()
            except _CRASHED:
                yield index, work.crashed(path)
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
