"""The command: what it prints and where, its exit status, and that it ends well when it is cut off (C9)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend_retrofit.codemods.command import own_backends
from backend_retrofit.codemods.command.main import main
from backend_retrofit.codemods.command.options import parser

from ..command_line import command

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "backend_retrofit.codemods.command.entry"]
CLIENT = """\
import requests


class Weather:
    def today(self, url):
        return requests.get(url)


def ping(url):
    return requests.head(url)
"""
KEYS = "import requests\n" + "".join(
    f"""

class {name}:
    def __init__(self, api_key=None):
        self.api_key = api_key

    def get(self, url):
        return requests.get(url)
"""
    for name in ("WeatherClient", "Client")
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A package with one client, one file without calls, and one that does not parse; it is the working directory."""
    package = tmp_path / "clients"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "weather.py").write_text(CLIENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return package


@pytest.fixture
def run(capfdbinary):
    """Return a function that runs the command and returns status, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        out, err = capfdbinary.readouterr()
        return status, out.decode(), err.decode()

    return run


# Exit status.


def test_a_run_that_writes_ends_with_0_and_so_does_a_second_one(folder, run):
    assert run("clients")[0] == 0
    assert "_queued(requests.get)" in (folder / "weather.py").read_text()
    status, out, _ = run("clients")
    assert status == 0
    assert "nothing to change" in out


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_a_look_ends_with_1_if_anything_would_change_and_writes_nothing(folder, run, option):
    assert run(option, "clients")[0] == 1
    assert (folder / "weather.py").read_text() == CLIENT
    run("clients")
    assert run(option, "clients")[0] == 0


def test_an_explanation_ends_with_0_and_writes_nothing(folder, run):
    assert run("--explain", "clients")[0] == 0
    assert (folder / "weather.py").read_text() == CLIENT


@pytest.mark.parametrize("option", ["", "--check", "--diff", "--explain"])
def test_a_file_that_cannot_be_handled_ends_with_3_and_the_others_are_done(folder, run, option):
    (folder / "broken.py").write_text("import requests\nclass A(:\n")
    status, _, err = run("clients", *([option] if option else []))
    assert status == 3
    assert err.startswith("error: clients/broken.py:2: it does not parse: ")
    assert ("_queued" in (folder / "weather.py").read_text()) == (option == "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a file or a folder, or a backend of this project with --api"),
        (["--dif", "clients"], "there is no option --dif. Did you mean --diff?"),
        (["--chekc", "clients"], "there is no option --chekc. Did you mean --check?"),
        (["--api", "opnai_api"], "Did you mean 'openai_api'?"),
        (["--api", "openia"], "Did you mean 'openai_api' or 'opea'?"),
        (["--api", "cluade"], "Did you mean 'claude'?"),
        (["--runtime", "share", "clients"], "Did you mean 'shared'?"),
        (["--format", "jsn", "clients"], "Did you mean 'json'?"),
        (["--existing", "queue", "clients"], "Did you mean 'queue-only'?"),
        (["--blocks", "queue,backof", "clients"], "Did you mean 'backoff'?"),
        (["nowhere"], "there is no file or folder 'nowhere'."),
        (["clients/wether.py"], "Did you mean clients/weather.py?"),
        (["openai_api"], "Did you mean --api openai_api?"),
        (["--key-env", "A-B", "clients"], "takes the name of an environment variable, or CLASS=NAME"),
        (
            ["--key-env", "Weather Client=KEY", "clients"],
            "CLASS=NAME for one class, not 'Weather Client=KEY'",
        ),
        (["--key-env", "=KEY", "clients"], "CLASS=NAME for one class, not '=KEY'"),
        (["--jobs", "many", "clients"], "takes a number of processes"),
        (["--report", "review.pdf", "clients"], "takes the name of an .html file"),
        (["--report", "nowhere/review.html", "clients"], "there is no folder 'nowhere' to write to"),
        (["--format", "yaml", "clients"], "choose from"),
        (["--diff", "--format", "json", "clients"], "--diff and --format json both print to standard output"),
        (["--stdin-filename", "a.py", "clients"], "give - as the PATH"),
        (["-", "clients"], "goes with no other PATH"),
        (["-", "--format", "json"], "give --check with --format json"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_to_do(folder, run, arguments, said):
    status, out, err = run(*arguments)
    assert status == 2
    assert said in err
    assert err.endswith("--help'.\n")
    assert out == ""


# What is printed.


def test_each_file_is_named_with_what_was_wrapped_and_what_was_skipped_and_why(folder, run):
    _, out, err = run("clients")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "clients/weather.py changed" in lines
    assert "7 wrapped requests.get in Weather.today" in lines
    (skipped,) = [line for line in lines if " skipped requests" in line]
    assert skipped.endswith(
        "requests.head in ping: module function: there is no `self` or `cls` to hold the queue"
    )
    assert lines[-1] == "1 of 2 files changed, 1 added: 1 call wrapped, 1 skipped."
    assert err == ""


def test_after_a_run_that_wrote_line_numbers_are_those_of_the_changed_file(folder, run):
    _, out, _ = run("--explain", "clients")
    assert "clients/weather.py:6:16: wrapped requests.get" in out
    run("clients")
    _, out, _ = run("clients", "--format", "json")
    (file,) = [file for file in json.loads(out)["files"] if file["sites"]]
    text = (folder / "weather.py").read_text().splitlines()
    for site in file["sites"]:
        assert site["callee"] in text[site["line"] - 1]


def test_K6_the_summary_lists_each_class_with_the_variables_of_its_key(folder, run):
    (folder / "weather.py").write_text(KEYS)
    _, out, _ = run("clients", "--key-env", "Client=SHOP_KEY", "--key-env", "Client=SHOP_TOKEN")
    told = out.partition("API keys that are not given are read from:\n")[2].splitlines()[:2]
    assert told == ["  WeatherClient: WEATHER_API_KEY", "  Client: SHOP_KEY, SHOP_TOKEN"]
    _, out, _ = run("clients", "--key-env", "Client=SHOP_KEY", "--key-env", "Client=SHOP_TOKEN")
    assert "API keys" not in out
    _, out, _ = run("clients", "--remove")
    assert "API keys" not in out


CALLERS = (
    "For callers: at most 5 requests of an instance run at once (max_concurrent_requests), and up to 100 more wait "
    '(queue_size); beyond that RequestQueueFull is raised: set queue_full = "wait" to wait instead.'
)


def test_Q4_the_run_that_adds_a_queue_says_what_it_changes_for_callers(folder, run):
    assert json.loads(run("clients", "--check", "--format", "json")[1])["for_callers"] == CALLERS
    assert CALLERS in run("clients")[1].splitlines()
    assert "For callers" not in run("clients")[1]
    assert json.loads(run("clients", "--check", "--format", "json")[1])["for_callers"] == ""
    assert "For callers" not in run("clients", "--remove")[1]
    assert "For callers" not in run("clients", "--blocks", "backoff,env_key")[1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("max_concurrent_requests = 3", "at most 3 requests of an instance run at once"),
        (
            'queue_full = "wait"',
            "up to 100 more wait (queue_size); beyond that they wait for room (queue_full).",
        ),
        (
            "queue_enabled = false",
            "For callers nothing changes yet: the queue is off until queue_enabled is set.",
        ),
    ],
)
def test_Q4_what_is_said_to_callers_goes_by_the_project_s_own_defaults(folder, run, settings, said):
    (folder / "pyproject.toml").write_text(f"[tool.backend-retrofit.settings]\n{settings}\n")
    assert said in run("clients", "--check")[1]


def test_Q4_a_queue_of_a_module_is_told_as_one(folder, run):
    said = run("clients", "--check", "--functions")[1]
    assert "at most 5 requests of an instance or a module run at once" in said


def test_quiet_prints_only_what_went_wrong(folder, run):
    assert run("-q", "clients")[1:] == ("", "")
    (folder / "broken.py").write_text("import requests\nclass A(:\n")
    _, out, err = run("-q", "clients")
    assert out == ""
    assert err.count("\n") == 1


def test_verbose_prints_what_is_skipped(folder, run):
    (folder / "vendor").mkdir()
    (folder / "vendor" / "a.py").write_text(CLIENT)
    assert "vendor: skipped" not in run("clients", "--check")[1]
    assert "note: clients/vendor: skipped" in run("clients", "--check", "-v")[1]


def test_an_explanation_has_every_class_and_call_with_its_place(folder, run):
    _, out, _ = run("--explain", "clients")
    assert "clients/weather.py:4: class Weather: queue added" in out
    assert "clients/weather.py:4: class Weather: env_key skipped: " in out
    assert "clients/weather.py:10:12: skipped requests.head in ping: module function" in out


def test_a_folder_without_python_says_so(tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = run(".")
    assert status == 0
    assert out.startswith("There is no Python file")


def test_the_patch_alone_is_on_standard_output_and_git_accepts_it(folder, run):
    (folder / "dos.py").write_bytes(CLIENT.replace("\n", "\r\n").rstrip().encode())
    _, out, err = run("--diff", "clients")
    assert out.startswith("diff --git a/clients/dos.py b/clients/dos.py\n")
    assert "would change" in err
    # From the process itself: the line ends must get through its standard output unharmed.
    patch = subprocess.run([*COMMAND, "--diff", "clients"], capture_output=True, check=False).stdout
    subprocess.run(["git", "apply", "--whitespace=nowarn", "-"], input=patch, check=True)
    after = {path.name: path.read_bytes() for path in folder.glob("*.py")}
    assert run("--check", "clients")[0] == 0
    assert b"\r\n" in after["dos.py"]
    assert b"\n" not in after["dos.py"].replace(b"\r\n", b"")


def test_the_report_page_is_written(folder, run, tmp_path):
    status, out, _ = run("--check", "--report", "review.html", "clients")
    assert status == 1
    assert out.endswith("The review page is review.html.\n")
    assert "Weather" in (tmp_path / "review.html").read_text(encoding="utf-8")


def test_the_page_of_a_backend_of_this_project_shows_how_it_comes_from_the_plain_one(folder, run, tmp_path):
    status, _, _ = run("--api", "groq", "--check", "--report", "review.html")
    assert status == 0
    page = (tmp_path / "review.html").read_text(encoding="utf-8")
    assert "retrofit:queue" in page
    assert 'class="change added"' in page


# Help and the like.


def test_the_help_fits_one_screen(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = parser("add-queue-backoff").format_help()
    lines = text.splitlines()
    assert 24 <= len(lines) <= 48
    assert max(map(len, lines)) <= 82
    assert "examples:" in text


def test_every_option_has_help_and_a_default_that_a_configuration_can_replace():
    for action in parser("x")._actions:
        assert action.help
        if action.dest not in ("help", "version", "completion"):
            changed = parser("x")
            changed.set_defaults(**{action.dest: action.default})
            assert getattr(changed.parse_args(["a"]), action.dest) is not None or action.default is None


def test_the_names_of_the_backends_are_listed(run):
    assert run("--list-apis")[1].split() == list(own_backends.APIS)


def test_the_version_is_printed(run):
    status, out, _ = run("--version")
    assert status == 0
    assert out.startswith("add-queue-backoff 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_a_shell(run, shell):
    pytest.importorskip("shtab")
    status, out, _ = run("--completion", shell)
    assert status == 0
    assert "openai_api" in out
    assert "stdin" in out


def test_bash_completes_options_and_names(run, tmp_path):
    pytest.importorskip("shtab")
    (tmp_path / "completion").write_text(run("--completion", "bash")[1])
    script = f"""
    . {tmp_path}/completion
    function=$(complete -p add-queue-backoff | sed 's/.*-F \\([^ ]*\\).*/\\1/')
    COMP_WORDS=(add-queue-backoff --api ope); COMP_CWORD=2; $function add-queue-backoff ope --api; echo "${{COMPREPLY[@]}}"
    COMP_WORDS=(add-queue-backoff --rem); COMP_CWORD=1; $function add-queue-backoff --rem add-queue-backoff; echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["openai_api", "opea", "--remove"]


# Standard input.


def through(text: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = command("-", *arguments, cwd=cwd, data=text.encode())
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_process_retrofits_its_standard_input(folder, run):
    """What it does with it otherwise, the tests below see in this process."""
    run("clients")
    name = ("--stdin-filename", "clients/new.py")  # beside a runtime: to put it into the file takes seconds
    done = subprocess.run([*COMMAND, "-", *name], input=CLIENT, capture_output=True, text=True, check=True)
    assert done.stdout == through(CLIENT, *name, cwd=folder.parent).stdout
    assert "self._queued(requests.get)(url)" in done.stdout
    assert "call wrapped" in done.stderr


def test_standard_input_comes_out_retrofitted_and_goes_back(tmp_path):
    done = through(CLIENT, cwd=tmp_path)
    assert done.returncode == 0
    compile(done.stdout, "stdin", "exec")
    assert "self._queued(requests.get)(url)" in done.stdout
    assert "call wrapped" in done.stderr
    assert through(done.stdout, "--remove", "-q", cwd=tmp_path).stdout == CLIENT
    assert list(tmp_path.iterdir()) == []


def test_standard_input_that_is_named_uses_the_runtime_beside_it(folder, run):
    run("clients")
    done = through(CLIENT, "--stdin-filename", "clients/new.py", cwd=folder.parent)
    assert "from ._request_engine import RequestEngine" in done.stdout


def test_standard_input_that_is_named_is_seen_with_the_files_around_it(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "http.py").write_text(
        "import requests\ndef session():\n    return requests.Session()\n"
    )
    source = (
        "from .http import session\n\n\nclass A:\n    def f(self, url):\n        return session().get(url)\n"
    )
    done = through(source, "--stdin-filename", "shop/a.py", cwd=tmp_path)
    assert "self._queued(session().get)(url)" in done.stdout


def test_standard_input_can_be_looked_at(tmp_path):
    done = through(CLIENT, "--diff", "--stdin-filename", "src/weather.py", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("diff --git a/src/weather.py b/src/weather.py\n")
    done = through(CLIENT, "--check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")


def test_standard_input_that_cannot_be_handled_comes_out_as_it_went_in(tmp_path):
    broken = "import requests\nclass A(:\n"
    done = through(broken, "--stdin-filename", "a.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, broken)
    assert done.stderr.startswith("error: a.py:2: it does not parse")


# Cut off.


@pytest.mark.parametrize(
    "options", ["--diff", "--explain", "--check --format json", "--check --format github"]
)
def test_a_reader_that_goes_away_does_no_harm(folder, options):
    many = "\n\n".join(CLIENT.replace("Weather", f"W{n}").replace("ping", f"ping{n}") for n in range(40))
    (folder / "many.py").write_text(many)
    command = f"{' '.join(COMMAND)} {options} clients | head -n 2; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ("0" if options == "--explain" else "1")
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr


def test_ctrl_c_ends_at_once_with_130_and_without_a_traceback(tmp_path):
    for number in range(100):
        (tmp_path / f"client{number}.py").write_text(CLIENT * 12)
    code = "import sys; from backend_retrofit.codemods.command.main import main; print('ready', flush=True); sys.exit(main())"
    started = subprocess.Popen(
        [sys.executable, "-c", code, ".", "--jobs", "2"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    time.sleep(0.5)  # so that it is at work, as a rule; what is asserted holds at any moment
    os.killpg(started.pid, signal.SIGINT)
    _, err = started.communicate(timeout=60)
    assert "Traceback" not in err
    assert started.returncode == 130
    assert "interrupted; " in err
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("module", ["test.add_queue_backoff", "test.fix_openai_api_implementation"])
def test_ctrl_c_while_the_modules_are_read_ends_it_without_a_word(module, tmp_path):
    # A module of the standard library that the command needs keeps it waiting, and says so.
    (tmp_path / "difflib.py").write_text("import time\nprint('reading', flush=True)\ntime.sleep(60)\n")
    started = subprocess.Popen(
        [sys.executable, "-m", module, "--list-apis"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "reading\n"
    started.send_signal(signal.SIGINT)
    assert started.communicate(timeout=60) == ("", "")
    assert started.returncode == 130


@pytest.mark.parametrize("form", ["json", "sarif", "github"])
def test_the_format_decides_only_what_is_printed(folder, run, form):
    assert run("--check", "--format", form, "clients")[0] == 1
    assert (folder / "weather.py").read_text() == CLIENT
    assert run("--format", form, "clients")[0] == 0
    assert "_queued(requests.get)" in (folder / "weather.py").read_text()
