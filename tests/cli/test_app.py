"""The application: what it loads, what people read when something goes wrong, how it ends."""

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from nbprod.cli import faults
from nbprod.cli.app import COMMANDS, nbprod
from nbprod.errors import DigestMismatch, NotFound

HEAVY = ("papermill", "prefect", "pandas", "sqlalchemy", "fastapi", "starlette", "flask", "uvicorn", "nbformat", "zmq")


def invoke(*args, **environ):
    return CliRunner().invoke(nbprod, list(args), env=environ)


def loaded_by(code):
    """Return which heavy packages a fresh interpreter has loaded after running the code."""
    ask = f"import sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]), file=sys.stderr)"
    wrapped = f"import sys\ntry:\n    exec({code!r})\nexcept SystemExit: pass\n{ask}"
    done = subprocess.run([sys.executable, "-c", wrapped], capture_output=True, text=True, check=True)
    return json.loads(done.stderr)


@pytest.mark.parametrize(
    "args", [["--help"], ["run", "--help"], ["runs", "--help"], ["doctor", "--help"]], ids=" ".join
)
def test_help_loads_nothing_heavy(args):
    assert loaded_by(f"sys.argv = ['nbprod', *{args!r}]\nfrom nbprod.cli import main\nmain()") == []


def test_the_probe_for_heavy_packages_sees_them():
    assert loaded_by("import zmq") == ["zmq"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_json(name):
    command = nbprod.get_command(click.Context(nbprod), name)
    for words in [(name, each) for each in command.commands] if isinstance(command, click.Group) else [(name,)]:
        done = invoke(*words, "--help")
        assert done.exit_code == 0
        assert "--json" in done.output or words == ("ledger", "export"), words  # which writes nothing but JSON
        assert done.output.startswith(f"Usage: nbprod {' '.join(words)}")


def test_short_helps_fit_on_a_line():
    assert "..." not in invoke("--help").output.partition("Commands:")[2]


def test_wrong_usage_is_refused_with_2():
    for args in (["bogus"], ["run"], ["runs", "--status", "fine"], ["run", "x.ipynb", "-p", "alone"], ["tag", "x"]):
        done = invoke(*args)
        assert done.exit_code == 2, args
        assert "Error:" in done.stderr


@pytest.fixture
def broken(monkeypatch):
    """Put a command in place of `steps` that raises what it is told."""

    def put(error):
        @click.command()
        def steps():
            raise error

        monkeypatch.setattr("nbprod.cli.commands.steps.steps", steps)

    return put


def test_an_error_is_one_paragraph_and_a_trace_only_with_debug(broken):
    broken(NotFound("no such thing", expected="a thing", found="nothing", hint="Look again."))
    plain = invoke("steps")
    assert plain.exit_code == 2
    assert plain.stderr == "Error: no such thing. Expected: a thing. Found: nothing. Look again.\n"
    for debug in (invoke("--debug", "steps"), invoke("steps", NBPROD_DEBUG="1")):
        assert debug.exit_code == 2
        assert "Traceback" in debug.stderr
        assert debug.stderr.endswith(plain.stderr)


def test_errors_bring_their_own_exit_codes(broken):
    broken(DigestMismatch("bytes are not what they were"))
    assert invoke("steps").exit_code == 4


def test_an_unforeseen_error_is_called_a_bug(broken):
    broken(ZeroDivisionError("by zero"))
    done = invoke("steps")
    assert done.exit_code == 5
    assert "this is a bug in nbprod: ZeroDivisionError: by zero" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in invoke("--debug", "steps").stderr


def test_ctrl_c_ends_a_command_with_130(broken):
    broken(KeyboardInterrupt())
    done = invoke("steps")
    assert (done.exit_code, done.stderr.strip()) == (130, "Interrupted.")


def test_a_reader_that_goes_away_is_no_error(nbprod):
    with nbprod.start("run", "--help") as child:
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 0


def test_what_a_broken_pipe_would_do_otherwise():
    code = "import sys\nfor _ in range(9000): print('x')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.close()
        assert b"BrokenPipeError" in child.stderr.read()


def test_python_m_nbprod_is_the_command(nbprod):
    done = nbprod.process("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("nbprod, version")


def test_usage_errors_of_click_are_2():
    assert faults.show_usage(click.UsageError("x")) == 2
