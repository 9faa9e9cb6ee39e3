"""The command as a whole: its help, its exit status, and names that look like options."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import asteroid_tfswa
from asteroid_tfswa import InputError
from asteroid_tfswa_cli import COMMANDS, main, run_command
from tests.trained import make_best_model

REPO = Path(__file__).parents[2]
# A command that says where it is, by files in the working folder, and waits there.
SLOW = """
import os, pathlib, time
from asteroid_tfswa_cli import importing, run_command

def wait(name):
    pathlib.Path(name).touch()
    time.sleep(60)

def command():
    with importing():
        {imports}
    try:
        {work}
    finally:
        time.sleep(0.3)
        pathlib.Path("cleaned up").touch()

run_command(command)
"""


def status(*argv):
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    return stop.value.code


def test_help_lists_all_commands(capsys):
    assert status("--help") == 0
    text = capsys.readouterr().out
    assert all(re.search(rf"^    {name}\s+\w", text, flags=re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys):
    assert status(name, "--help") == 0
    assert f"usage: asteroid-tfswa {name}" in capsys.readouterr().out


def test_version(capsys):
    assert status("--version") == 0
    assert capsys.readouterr().out == f"asteroid-tfswa {asteroid_tfswa.__version__}\n"


@pytest.mark.parametrize("argv", [[], ["frobnicate"], ["info"], ["info", "model.pth", "--jsn"]])
def test_wrong_use_is_status_2(argv, capsys):
    assert status(*argv) == 2
    assert "usage: asteroid-tfswa" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--", "-x y.pth"], ["./-x y.pth"]])
def test_names_that_start_with_a_dash(argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_best_model(tmp_path / "exp").rename("-x y.pth")
    main(["info", *argv])
    assert "-x y.pth" in capsys.readouterr().out


def test_console_script_in_a_process(tmp_path):
    target = re.search(r"asteroid-tfswa=([\w.]+):(\w+)", (REPO / "setup.py").read_text())
    code = f"from {target[1]} import {target[2]}; {target[2]}()"
    result = subprocess.run(
        [sys.executable, "-c", code, "check-data", "missing"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        text=True,
    )
    expected = "error: missing: no such folder; "
    assert (result.returncode, result.stdout) == (1, "")
    assert expected in result.stderr and result.stderr.count("\n") == 1


def start(tmp_path, code):
    """Run code in a process, and wait until it has made the file "reached"."""
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPO}"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "reached").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    return process


ENDINGS = [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "terminated\n")]


@pytest.mark.parametrize("signum, status, line", ENDINGS)
def test_a_signal_during_imports_is_one_line(signum, status, line, tmp_path):
    # Code that takes every exception for a missing package, as several packages have it.
    (tmp_path / "slow.py").write_text(
        "try:\n    wait('reached')\nexcept BaseException:\n    pass\n"
    )
    imports = "import builtins; builtins.wait = wait; import slow"
    process = start(tmp_path, SLOW.format(imports=imports, work="print('goes on')"))
    process.send_signal(signum)
    assert process.communicate(timeout=20)[1] == line
    assert process.returncode == status


@pytest.mark.parametrize("signum, status, line", ENDINGS)
def test_a_signal_during_work_cleans_up_once(signum, status, line, tmp_path):
    process = start(tmp_path, SLOW.format(imports="pass", work="wait('reached')"))
    process.send_signal(signum)
    time.sleep(0.1)
    process.send_signal(signum)  # as from the terminal and from run.sh
    assert process.communicate(timeout=20)[1] == line
    assert process.returncode == status and (tmp_path / "cleaned up").exists()


def test_a_signal_that_work_turns_into_another_error_is_still_one_line(tmp_path):
    work = "wait('reached')\n    except KeyboardInterrupt:\n        raise SystemExit(1)"
    process = start(tmp_path, SLOW.format(imports="pass", work=work))
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[1] == "terminated\n"
    assert process.returncode == 143


def test_a_worker_ends_silently(tmp_path):
    work = """
        if worker := os.fork():
            os._exit(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]))
        # Told by the worker: a signal that arrives while it is made is lost.
        pathlib.Path("worker").write_text(str(os.getpid()))
        pathlib.Path("reached").touch()
        time.sleep(60)"""
    process = start(tmp_path, SLOW.format(imports="pass", work=work))
    os.kill(int((tmp_path / "worker").read_text()), signal.SIGTERM)
    assert process.communicate(timeout=20)[1] == ""
    assert process.returncode == 143 and (tmp_path / "cleaned up").exists()


def out_of_memory():
    bytearray(2**62)


def torch_out_of_memory():
    torch.empty(2**55)


def full_disk():
    with open("/dev/full", "w") as file:
        file.write("x")


def no_such_file():
    open("no/such/file")


def input_error():
    raise InputError("lr must be a number: got 'x'")


def odd_file_name():
    raise InputError("a\nb\x1b[31m ü.wav is damaged")


@pytest.mark.parametrize(
    "function, line",
    [
        (out_of_memory, r"error: out of memory \(no memory left\); close other programs"),
        (torch_out_of_memory, r"error: out of memory \(.*allocate.*\); close other programs"),
        (full_disk, "error: No space left on device"),
        (no_such_file, "error: no/such/file: No such file or directory"),
        (input_error, "error: lr must be a number: got 'x'"),
        (odd_file_name, r"error: a\\nb\\x1b\[31m ü\.wav is damaged"),
    ],
)
def test_what_the_user_can_change_is_one_line(function, line, capsys):
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        run_command(function)
    stderr = capsys.readouterr().err
    assert stop.value.code == 1 and re.match(line, stderr)
    assert stderr.count("\n") == 1
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 / 0)


def test_a_closed_pipe_ends_a_command_silently(tmp_path):
    code = "from asteroid_tfswa_cli import run_command\n"
    code += "run_command(lambda: [print('x' * 1000, flush=True) for _ in range(1000)])"
    command = f'{sys.executable} -c "{code}" | head -c 10; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command], env={**os.environ, "PYTHONPATH": str(REPO)}, capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (141, b"x" * 10, b"")


def test_closed_descriptors_are_as_the_null_device(tmp_path):
    code = """
import subprocess, sys
from asteroid_tfswa_cli import run_command

def command():
    file = open("out", "w")
    print("to stdout", sys.stdin.buffer.read())
    print("to stderr", file=sys.stderr)
    status = subprocess.run(["sh", "-c", "cat && echo 1 && echo 2 >&2"]).returncode
    print(file.fileno() > 2, status, file=file)

run_command(command)
"""
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -c '{code}' <&- >&- 2>&-"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    assert done.returncode == 0 and (tmp_path / "out").read_text() == "True 0\n"


def test_a_missing_package_is_one_line_and_help_works_without_it(tmp_path):
    (tmp_path / "torch.py").write_text("raise AttributeError('libcudart.so.13 is missing')")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPO}"}
    code = "from asteroid_tfswa_cli import main; main()"
    command = [sys.executable, "-c", code]
    done = subprocess.run([*command, "--help"], env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "separate songs" in done.stdout
    done = subprocess.run([*command, "info", "x"], env=env, capture_output=True, text=True)
    assert done.returncode == 1 and re.fullmatch(
        r"error: .*libcudart.so.13 is missing.*; see asteroid-tfswa doctor\n", done.stderr
    )
