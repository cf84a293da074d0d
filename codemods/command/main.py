"""The command line: turns arguments into a run, and a run into output and an exit status."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..disk import find, processes, write
from ..disk.exclusion import Exclusion
from ..disk.runtime_files import runtime_plans
from ..model import FUNCTIONS, FilePlan, Options, Run
from ..reporting import patch, terminal
from ..reporting.annotations import commands
from ..reporting.facts import Facts, as_json, facts_of, json_report
from ..reporting.for_callers import for_callers
from ..reporting.page import document
from ..reporting.sarif import sarif_log
from ..source.visible import visible_name
from . import baseline, own_backends, pyproject, stdin
from .before_writing import before_writing
from .ctrl_c import INTERRUPTED, interruptible
from .options import Parser, key_variables, parser

DONE, CHANGES, USAGE, LEFT_ALONE = 0, 1, 2, 3
_PROGRESS_FROM = 100
"""How many files it takes for a progress bar to be worth while."""
_PROGRESS_FROM_BYTES = 300_000
"""Or how many bytes, as one large file takes long, too."""


def main(argv: Sequence[str] | None = None, prog: str = "add-queue-backoff", api: str = "") -> int:
    """Run the command and return its exit status.

    Args:
        argv: the arguments; None: those of the process.
        prog: the name that help and errors show.
        api: the backend to work on where neither a path nor `--api` is given.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding does not have
    arguments_parser = parser(prog)
    command = _Command(arguments_parser)
    try:
        with interruptible():
            status = command.run(pyproject.parse_args(arguments_parser, argv), api)
            sys.stdout.flush()
        return status
    except SystemExit as exit_:  # argparse: --help, --version, wrong usage
        return exit_.code if isinstance(exit_.code, int) else USAGE
    except BrokenPipeError:
        # The reader, `head` say, has seen enough. The work itself was done before anything was printed.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return command.status
    except KeyboardInterrupt:
        print(f"\n{prog}: interrupted; {command.written_so_far()}", file=sys.stderr)
        return INTERRUPTED


class _Command:
    """One run of the command."""

    def __init__(self, arguments_parser: Parser) -> None:
        self.parser = arguments_parser
        self.results = Run()
        self.written = 0
        self.status = DONE

    def run(self, arguments: argparse.Namespace, api: str) -> int:
        """Do what the arguments ask for; return the exit status."""
        if arguments.list_apis:
            print("\n".join(own_backends.APIS))
            return DONE
        if not arguments.paths and not arguments.api and api:
            arguments.api = [api]
        self._check(arguments)
        options = options_of(arguments)
        compared = arguments.baseline is not None and not arguments.write_baseline
        accepted = self._baseline(arguments.baseline) if compared else None
        names = own_backends.names_of(arguments.api)
        dry = arguments.diff or arguments.check or arguments.explain
        self.err = terminal.Terminal(stderr=True)
        self.out = terminal.Terminal()
        if stdin.MARK in arguments.paths:
            self.results.plans = [stdin.plan(arguments.stdin_filename, options, _exclusion(arguments))]
            if not dry:
                stdin.write(self.results.plans[0])
        else:
            self._plan(arguments, options, names)
            self.results.warnings = list(before_writing(self.results.plans, options))
            terminal.print_warnings(self.err, self.results.warnings)
            if not dry:
                self._write()
        self.results.for_callers = for_callers(self.results.plans, options)
        facts = facts_of(self.results, written=not dry)
        self.status = self._status(arguments, self._new_skips(arguments.baseline, accepted, facts))
        self._print(arguments, facts)
        return self.status

    def _check(self, arguments: argparse.Namespace) -> None:
        """Refuse arguments that contradict each other, and say what to give instead."""
        error = self.parser.error
        to_stdout = [
            name for name, on in (("--diff", arguments.diff), ("--explain", arguments.explain)) if on
        ]
        if arguments.format != "text":
            to_stdout.append(f"--format {arguments.format}")
        if len(to_stdout) > 1:
            error(
                f"{' and '.join(to_stdout)} both print to standard output; give one, or --check instead of --diff"
            )
        if arguments.write_baseline and arguments.baseline is None:
            error("--write-baseline writes the file that --baseline names; give that, too")
        if stdin.MARK in arguments.paths:
            if len(arguments.paths) > 1 or arguments.api:
                error("- stands for standard input and goes with no other PATH and no --api")
            if arguments.format != "text" and not arguments.check:
                error(
                    f"- writes the result to standard output; give --check with --format {arguments.format}"
                )
        elif arguments.stdin_filename:
            error("--stdin-filename names what - reads; give - as the PATH")
        elif not arguments.paths and not arguments.api:
            error("name a file or a folder, or a backend of this project with --api")
        for path in arguments.paths:
            if path != stdin.MARK and not path.exists():
                error(f"there is no file or folder {str(path)!r}.{_meant(path)}")

    def _plan(self, arguments: argparse.Namespace, options: Options, names: list[str]) -> None:
        run = self.results
        paths = list(find.python_files(arguments.paths, run, _exclusion(arguments)))
        long = len(paths) >= _PROGRESS_FROM or _size(paths) >= _PROGRESS_FROM_BYTES
        shown = self.err.is_terminal and long and not arguments.quiet
        columns = (TextColumn("Reading"), BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeElapsedColumn())  # fmt: skip
        with Progress(*columns, console=self.err, transient=True, disable=not shown) as progress:
            task = progress.add_task("Reading", total=len(paths))
            run.plans += processes.plan_files(
                paths, options, arguments.jobs, lambda done: progress.update(task, completed=done)
            )
        run.plans += runtime_plans(run.plans, options)
        if names:
            plans = own_backends.plan_apis(names, options, from_plain=arguments.diff)
            runtimes = runtime_plans(plans, options) if options.remove else own_backends.plan_runtime()
            run.plans += [*plans, *runtimes]
        # The runtime comes last: it is long and always the same, and would hide what happens to the user's own files.
        run.plans.sort(key=lambda planned: (planned.is_runtime, planned.path))

    def _write(self) -> None:
        """Write what is to change, and count."""

        def count(_: FilePlan) -> None:
            self.written += 1

        write.write_all(self.results.plans, count)

    def written_so_far(self) -> str:
        """Return what is on disk, for a run that is broken off."""
        if not self.written:
            return "nothing was written"
        return f"{self.written} files were written, each of them whole; run again for the others"

    def _baseline(self, path: Path) -> baseline.Accepted:
        try:
            return baseline.read(path)
        except baseline.BaselineError as error:
            self.parser.error(f"--baseline {visible_name(path)} {error}")

    def _new_skips(self, path: Path | None, accepted: baseline.Accepted | None, facts: Facts) -> int:
        """Write the baseline, or compare with it; return how many skips, and files left alone, nobody has accepted.

        Without a baseline those are the files alone: a skipped call is reported, and is not a failure.
        """
        if path is None:
            return sum(bool(plan.problems) for plan in self.results.plans)
        if accepted is None:
            try:
                path.write_text(baseline.text_of(facts, path), encoding="utf-8")
            except OSError as error:
                self.parser.error(f"--baseline {visible_name(path)} cannot be written: {error.strerror}")
            accepted = self._baseline(path)
        return baseline.accept(facts, path, accepted)

    def _status(self, arguments: argparse.Namespace, new_skips: int) -> int:
        if new_skips:
            return LEFT_ALONE
        looked = arguments.diff or arguments.check
        return CHANGES if looked and any(plan.changed for plan in self.results.plans) else DONE

    def _print(self, arguments: argparse.Namespace, facts: Facts) -> None:
        if arguments.report is not None:
            self._write_page(arguments.report, facts)
        if arguments.diff:
            patch.print_diff(self.out, self.results.plans)
        elif arguments.format == "json":
            print(json_report(facts))
        elif arguments.format == "sarif":
            print(as_json(sarif_log(facts, self.status)))
        elif arguments.format == "github":
            print("\n".join(commands(facts)))
        self._print_text(arguments, facts)

    def _print_text(self, arguments: argparse.Namespace, facts: Facts) -> None:
        """Print the report for a person: to standard output, unless that has the patch or the like already."""
        taken = arguments.diff or arguments.format != "text" or stdin.MARK in arguments.paths
        out = self.err if taken and not arguments.explain else self.out
        level = (
            terminal.QUIET if arguments.quiet else terminal.VERBOSE if arguments.verbose else terminal.NORMAL
        )
        if arguments.explain:
            level = terminal.EXPLAIN
        if not taken or arguments.explain or level > terminal.NORMAL:
            terminal.print_files(out, facts, level)
        sys.stdout.flush()
        terminal.print_problems(self.err, facts)
        if not arguments.quiet:
            terminal.print_summary(out, facts, arguments.remove, arguments.functions)
            if arguments.statistics:
                terminal.print_statistics(out, facts)
            if arguments.report is not None:
                out.put(f"The review page is {visible_name(arguments.report)}.")

    def _write_page(self, path: Path, facts: Facts) -> None:
        """Write the page. Of the project's own backends it shows how the plain ones become the enhanced ones."""
        plans = [p if p.made_from is None else replace(p, before=p.made_from) for p in self.results.plans]
        if plans != self.results.plans:
            facts = facts_of(replace(self.results, plans=plans), facts["written"])
        text = document.render(facts, plans)
        if path.exists() and not path.is_file():
            self.parser.error(f"--report {visible_name(path)} cannot be written: it is not a regular file")
        try:
            path.write_text(text, encoding="utf-8", errors="replace")
        except OSError as error:
            self.parser.error(f"--report {visible_name(path)} cannot be written: {error.strerror}")


def _exclusion(arguments: argparse.Namespace) -> Exclusion:
    """Return what is left alone; patterns of a file count from its folder, those of the command line from here."""
    return Exclusion(arguments.exclude, getattr(arguments, "exclude_from", Path.cwd()))


def _size(paths: Sequence[Path]) -> int:
    """Return how many bytes files have, as far as that is known."""
    total = 0
    for path in paths:
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


def _meant(path: Path) -> str:
    """Return what may have been meant by a path that is not there."""
    if str(path) in (*own_backends.APIS, "all"):
        return f" Did you mean --api {path}?"
    with contextlib.suppress(OSError):
        close = difflib.get_close_matches(path.name, os.listdir(path.parent), n=1, cutoff=0.7)
        return f" Did you mean {visible_name(path.parent / close[0])}?" if close else ""
    return ""


def options_of(arguments: argparse.Namespace) -> Options:
    """Return what the arguments ask of the planner."""
    of_all, of_one = key_variables(arguments.key_env)
    return Options(
        blocks=tuple(dict.fromkeys((*arguments.blocks, *([FUNCTIONS] if arguments.functions else ())))),
        remove=arguments.remove,
        runtime=arguments.runtime,
        runtime_within=str(getattr(arguments, "runtime_within", "")),
        given=tuple(os.path.abspath(path) for path in arguments.paths),
        overwrite_edited=arguments.overwrite_edited,
        merge=arguments.merge,
        key_variables=of_all,
        key_variables_of=of_one,
        settings=getattr(arguments, "settings", ()),
        existing=arguments.existing,
        guess=arguments.guess,
        transports=getattr(arguments, "transports", ()),
        largest=arguments.max_size,
    )
