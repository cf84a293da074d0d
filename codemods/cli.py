"""The command line: turns arguments into a run, and a run into an exit status."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from . import apis, files, report
from .model import BLOCKS, FilePlan, Options, Run

DONE, CHANGES, USAGE, LEFT_ALONE = 0, 1, 2, 3

_EPILOG = """\
examples:
  add-queue-backoff src/clients --diff        show what would change
  add-queue-backoff src/clients               change the files in place
  add-queue-backoff src/clients --remove      take everything out again
  add-queue-backoff --api all                 make this project's eleven enhanced backends

exit status: 0 done, or nothing to do; 1 --check or --diff found changes; 2 wrong usage; 3 a file was left alone
"""


def parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = argparse.ArgumentParser(
        prog=prog,
        description="Give Python API clients a request queue, exponential backoff and environment keys.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = result.add_argument_group("what to work on")
    what.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="files or folders, changed in place"
    )
    what.add_argument(
        "--api", action="append", default=[], metavar="NAME|all", help="a backend of this project"
    )
    how = result.add_argument_group("what to do")
    how.add_argument("--diff", action="store_true", help="print what would change; write nothing")
    how.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything would change")
    how.add_argument("--remove", action="store_true", help="take the retrofit out again")
    how.add_argument(
        "--blocks", default=",".join(BLOCKS), metavar="LIST", help="queue,backoff,env_key (default: all)"
    )
    how.add_argument(
        "--runtime", choices=("auto", "shared", "inline"), default="auto", help="where the runtime goes"
    )
    how.add_argument("--existing", choices=("queue-only", "wrap", "skip"), default="queue-only",
                     help="calls that a loop or decorator retries already (default: queue-only)")  # fmt: skip
    how.add_argument(
        "--key-env", action="append", default=[], metavar="VAR", help="environment variable of the API key"
    )
    how.add_argument(
        "--overwrite-edited", action="store_true", help="replace blocks that were edited by hand"
    )
    say = result.add_argument_group("what to print")
    say.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    say.add_argument("--list-apis", action="store_true", help="print the names for --api")
    say.add_argument("-q", "--quiet", action="store_true", help="print only what went wrong")
    say.add_argument("-v", "--verbose", action="store_true", help="print unchanged files and notes, too")
    say.add_argument("--jobs", type=int, default=0, metavar="N", help="processes (default: as many as cores)")
    say.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    return result


def _version() -> str:
    try:
        return metadata.version("backend-retrofit")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def main(argv: Sequence[str] | None = None, prog: str = "add-queue-backoff", api: str = "") -> int:
    """Run the command and return its exit status.

    Args:
        argv: the arguments; None: those of the process.
        prog: the name that help and errors show.
        api: the backend to work on where neither a path nor `--api` is given.
    """
    arguments_parser = parser(prog)
    arguments = arguments_parser.parse_args(argv)
    if arguments.list_apis:
        print("\n".join(apis.APIS))
        return DONE
    if not arguments.paths and not arguments.api and api:
        arguments.api = [api]
    try:
        options = _options(arguments)
        names = apis.names_of(arguments.api)
    except ValueError as error:
        return _usage(arguments_parser, str(error))
    if not arguments.paths and not names:
        return _usage(arguments_parser, "name a file or folder, or a backend with --api")
    missing = [str(path) for path in arguments.paths if not path.exists()]
    if missing:
        return _usage(arguments_parser, f"there is no {missing[0]}")
    console = Console(stderr=arguments.format == "json" or arguments.diff, highlight=False)
    run = _plan(arguments, options, names, console)
    dry = arguments.diff or arguments.check
    if not dry:
        _write(run)
    _print(arguments, run, console, dry)
    if any(plan.problems for plan in run.plans):
        return LEFT_ALONE
    return CHANGES if dry and any(plan.changed for plan in run.plans) else DONE


def _usage(arguments_parser: argparse.ArgumentParser, message: str) -> int:
    arguments_parser.print_usage(sys.stderr)
    print(f"{arguments_parser.prog}: {message}", file=sys.stderr)
    return USAGE


def _options(arguments: argparse.Namespace) -> Options:
    asked = [name.strip() for name in arguments.blocks.split(",") if name.strip()]
    unknown = [name for name in asked if name not in BLOCKS]
    if unknown or not asked:
        raise ValueError(f"--blocks takes {','.join(BLOCKS)}, not {arguments.blocks!r}")
    bad = [name for name in arguments.key_env if not name.isidentifier()]
    if bad:
        raise ValueError(f"--key-env takes the name of an environment variable, not {bad[0]!r}")
    return Options(
        blocks=tuple(name for name in BLOCKS if name in asked),
        remove=arguments.remove,
        runtime=arguments.runtime,
        overwrite_edited=arguments.overwrite_edited,
        key_variables=tuple(arguments.key_env),
        existing=arguments.existing,
    )


def _plan(arguments: argparse.Namespace, options: Options, names: list[str], console: Console) -> Run:
    run = Run()
    paths = list(files.python_files(arguments.paths, run))
    shown = console.is_terminal and len(paths) > 200 and not arguments.quiet
    with Progress(console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task("Reading", total=len(paths))
        run.plans += files.plan_files(
            paths, options, arguments.jobs, lambda done: progress.update(task, completed=done)
        )
    run.plans += files.runtime_plans(run.plans, options)
    if names:
        plans = apis.plan_apis(names, options, from_plain=arguments.diff)
        run.plans += [*plans, *files.runtime_plans(plans, options)]
    return run


def _write(run: Run) -> None:
    """Write what is to change; first the runtime modules, which the other files import."""
    order = sorted(range(len(run.plans)), key=lambda i: not run.plans[i].path.name.startswith("_"))
    for index in order:
        planned = run.plans[index]
        if planned.changed and not planned.problems:
            problem = files.write(planned)
            if problem is not None:
                run.plans[index] = replace(planned, after=planned.before, problems=(problem,))


def _print(arguments: argparse.Namespace, run: Run, console: Console, dry: bool) -> None:
    if arguments.diff:
        report.print_diff(Console(highlight=False), _in_order(run.plans))
    if arguments.format == "json":
        print(json.dumps(report.as_json(run), indent=2))
        return
    verbose = -1 if arguments.quiet else int(arguments.verbose)
    report.print_report(console, run, written=not dry, verbose=verbose)


def _in_order(plans: list[FilePlan]) -> list[FilePlan]:
    return sorted(plans, key=lambda planned: planned.path)
