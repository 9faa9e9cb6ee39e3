"""The shell side of the recipe: options, signals, and the environment that it sets up."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "egs/musdb18"
PARTS = ("egs/musdb18/local/environment.sh", "egs/musdb18/local/overrides.txt")
PARTS += ("egs/musdb18/utils/supervise.sh",)


def bash(code, *args, cwd=ROOT, **env):
    env = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    command = ["bash", "-c", code, "bash", *map(str, args)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def run_sh(*options, **env):
    return bash('bash egs/musdb18/run.sh "$@"', *options, **env)


OPTIONS = """
set -e
stage=0 tag=none
script_options="stage tag"
cd egs/musdb18
. utils/parse_options.sh
printf '<%s>' "$stage" "$tag" "${conf_options[@]}"
"""


def test_variables_of_the_environment_swallow_no_options():
    options = ["--lr", "5e-4", "--tag", "a 'b' \"ü\"", "--sources", "x y", "z", "--seed=3"]
    names = ("lr", "seed", "tag", "stage", "sources", "conf_options", "CDPATH")
    done = bash(OPTIONS, *options, **dict.fromkeys(names, "/"))
    assert done.stdout == "<0><a 'b' \"ü\"><--lr><5e-4><--sources><x y><z><--seed><3>"


@pytest.mark.parametrize(
    "options, message",
    [
        (["--stop_stag", "1"], "unknown option --stop_stag (did you mean --stop_stage?)"),
        (["--batch-size", "1"], "unknown option --batch-size (did you mean --batch_size?)"),
        (["--lrr", "1"], "unknown option --lrr (did you mean --lr?)"),
        (["--nothing_like_it", "1"], "unknown option --nothing_like_it; see --help"),
        (["--HOME", "x"], "unknown option --HOME"),
        (["--lr"], "--lr needs a value"),
        (["--tag", "--id", "0"], "--tag needs a value"),
        (["--tag", ""], "--tag is empty"),
        (["--musdb18_dir="], "--musdb18_dir is empty"),
        (["--tag", "a/b"], "--tag becomes part of names of files"),
        (["--tag", "a\nb"], "--tag becomes part of names of files"),
        (["--tag", "a" * 101], "--tag becomes part of names of files"),
        (["--musdb18_dir", "/"], "--musdb18_dir / is the root of the disk"),
        (["--musdb18_dir", "///"], "--musdb18_dir / is the root of the disk"),
        (["--musdb18_dir", "a", "--download", "sample"], "exclude each other"),
        (["--stage", "2", "--stop_stage", "1"], "--stage 2 comes after --stop_stage 1"),
        (["--stage", "4"], "--stage must be 0, 1, 2 or 3: got 4"),
        (["--stage", "1x"], "--stage must be 0, 1, 2 or 3: got 1x"),
        (["--id", "0,"], "--id must be GPUs like 0 or 0,1, or cpu: got 0,"),
        (["--id", "cuda:0"], "--id must be GPUs like 0 or 0,1, or cpu: got cuda:0"),
        (["--id", "cpu:0"], "--id must be GPUs like 0 or 0,1, or cpu: got cpu:0"),
        (["--python_path", "/"], "--python_path / is no program"),
        (["--python_path", "no-such-python"], "--python_path no-such-python is no program"),
        (
            ["--python_path", "/bin/false"],
            "--python_path /bin/false has no asteroid_tfswa; install",
        ),
        (["stage", "1"], "unexpected argument stage"),
        (["-x"], "unexpected argument -x"),
    ],
)
def test_options_that_cannot_be_used_are_one_line_before_anything_starts(options, message):
    done = run_sh(*options)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and message in done.stderr
    assert len(done.stderr.strip("\n").replace("a\nb", "ab").splitlines()) == 1


def test_a_link_to_the_script_runs_it(tmp_path):
    (tmp_path / "link").symlink_to(RECIPE / "run.sh")
    assert "error: --stage must be" in bash("bash link --stage 4", cwd=tmp_path).stderr
    assert "  --musdb18_dir DIR" in bash("bash ./link --help", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    "musdb18_dir, name", [(".", "my 'songs' ü"), ("../my 'songs' ü/", "my 'songs' ü"), ("x/", "x")]
)
def test_paths_are_relative_to_the_caller(tmp_path, musdb18_dir, name):
    folder = tmp_path / "my 'songs' ü"
    folder.mkdir()
    code = f"""
    set -e
    stage=0 stop_stage=3 id= download= conf= tag= data_dir= exp_dir=exp python_path=bin/python
    musdb18_dir=$1 _user_dir=$PWD
    fail() {{ echo "$1"; exit 1; }}
    . "{RECIPE}/local/paths.sh"
    printf '%s\n' "$musdb18_dir" "$data_dir" "$exp_dir" "$tag" "$python_path" "$conf"
    """
    done = bash(code, musdb18_dir, cwd=folder)
    target = folder / "x/" if musdb18_dir == "x/" else folder
    assert done.stdout.splitlines() == [
        f"{target}{'/' * (musdb18_dir == 'x/')}",
        f"data/{name}",
        str(folder / "exp"),
        name,
        str(folder / "bin/python"),
        "local/conf.yml",
    ]


STAGES = """
set -e
. "$1/utils/supervise.sh"
run_stage log "$2" -c "$3"
echo next stage
"""
WORK = """
import pathlib, time
from asteroid_tfswa_cli import run_command

def work():
    try:
        pathlib.Path("reached").touch()
        time.sleep(60)
    finally:
        time.sleep(0.3)
        print("last line")

run_command(work)
"""


def start_stages(folder, code, reached="reached"):
    process = subprocess.Popen(
        ["bash", "-c", STAGES, "bash", RECIPE, sys.executable, code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (folder / reached).exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_a_failing_stage_keeps_its_status_and_its_output(tmp_path):
    code = "print('one'); print('two'); raise SystemExit(3)"
    done = bash(STAGES, RECIPE, sys.executable, code, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, "one\ntwo\n", "")
    assert (tmp_path / "log").read_text() == done.stdout
    assert bash(STAGES, RECIPE, sys.executable, "", cwd=tmp_path).stdout == "next stage\n"


@pytest.mark.parametrize("to_group", [False, True])
@pytest.mark.parametrize(
    "signum, status, word",
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_ends_the_stage_and_the_script(tmp_path, to_group, signum, status, word):
    process = start_stages(tmp_path, WORK)
    (os.killpg if to_group else os.kill)(process.pid, signum)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (status, "last line\n", f"{word}\n")
    assert (tmp_path / "log").read_text() == "last line\n"


def test_a_slurm_job_trains_with_all_its_tasks(tmp_path):
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\necho "$@"\n')
    srun.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    job = "bash egs/musdb18/local/slurm.sh --lr 5e-4"
    environ = {"SLURM_SUBMIT_DIR": str(RECIPE), "SLURM_JOB_NUM_NODES": "2"}
    environ["SLURM_CPUS_PER_TASK"] = "9"
    done = bash(job, PATH=path, **environ)
    data, training, scores = done.stdout.splitlines()
    assert training == (
        "--cpus-per-task=9 --kill-on-bad-exit=1 "
        "bash run.sh --stage 1 --stop_stage 1 --num_nodes 2 --lr 5e-4"
    )
    assert data.startswith("--cpus-per-task=9 ") and scores.startswith("--cpus-per-task=9 ")
    assert data.endswith("--ntasks-per-node=1 bash run.sh --stage 0 --stop_stage 0 --lr 5e-4")
    assert scores.endswith("--ntasks-per-node=1 bash run.sh --stage 2 --lr 5e-4")
    done = bash(job, PATH=path)
    assert done.returncode == 1 and "submit this file with sbatch" in done.stderr


def test_the_signal_for_a_time_limit_reaches_the_stage(tmp_path):
    """A stage other than training has nothing to save."""
    process = start_stages(tmp_path, WORK)
    os.kill(process.pid, signal.SIGUSR1)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (138, "", "")


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not on PATH")
def test_a_killed_script_ends_its_stage(tmp_path):
    process = start_stages(tmp_path, WORK)
    process.kill()
    stdout, stderr = process.communicate(timeout=20)  # until the stage has closed them
    assert (process.returncode, stdout, stderr) == (-9, "last line\n", "terminated\n")


def test_a_killed_stage_ends_the_script_though_a_worker_lives_on(tmp_path):
    code = """
import os, pathlib, time
if not os.fork():
    time.sleep(30)
    os._exit(0)
print("last line", flush=True)
pathlib.Path("pid").write_text(str(os.getpid()))
pathlib.Path("reached").touch()
time.sleep(60)
"""
    process = start_stages(tmp_path, code)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    begin = time.monotonic()
    process.wait(timeout=20)
    assert process.returncode == 137 and time.monotonic() - begin < 10
    os.killpg(process.pid, signal.SIGKILL)  # the worker
    stdout, stderr = process.communicate()
    assert stdout == "last line\n" and stderr.count("\n") == 1
    assert stderr.startswith("error: the stage was killed by signal 9, for lack of memory perhaps;")


# Builds an empty package whose version is the text of setup.py.
BACKEND = """
import pathlib, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    version = pathlib.Path("setup.py").read_text()
    info, name = f"tiny-{version}.dist-info", f"tiny-{version}-py3-none-any.whl"
    extras = "".join(f"Provides-Extra: {e}\\n" for e in ("scoring", "onnx", "demo", "dev"))
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        about = f"Metadata-Version: 2.1\\nName: tiny\\nVersion: {version}\\n"
        wheel.writestr(f"{info}/METADATA", about + extras)
        about = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(f"{info}/WHEEL", about)
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout of nothing but what sets up the environment, inside another repository."""
    outer = tmp_path / "outer"
    (outer / ".git").mkdir(parents=True)
    (outer / ".venv").mkdir()
    (outer / ".venv/precious").touch()
    checkout = outer / "an inner ü"
    for part in PARTS:
        (checkout / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / part, checkout / part)
    (checkout / "setup.py").write_text("1")
    (checkout / "backend.py").write_text(BACKEND)
    (checkout / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']"
    )
    return checkout


ENVIRONMENT = """
set -e
. "$1/egs/musdb18/local/environment.sh"
echo "$python_path"
"""


def without_notes(text):
    return [line for line in text.splitlines() if not line.startswith("note: ffmpeg")]


def test_a_foreign_venv_is_left_alone(checkout, tmp_path):
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(sys.executable)
    done = bash(ENVIRONMENT, checkout, cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = without_notes(done.stderr)
    assert line.startswith(f"error: {checkout}/.venv was not made by this recipe; move it away")
    assert (checkout / ".venv/bin/python").exists() and (
        checkout.parent / ".venv/precious"
    ).exists()
    # Another checkout's, by a link:
    shutil.rmtree(checkout / ".venv")
    other = tmp_path / "other"
    (other / ".venv").mkdir(parents=True)
    (other / ".venv/asteroid-tfswa").write_text(f"{other}\n")
    (checkout / ".venv").symlink_to(other / ".venv")
    done = bash(ENVIRONMENT, checkout, cwd=tmp_path)
    assert done.returncode == 1 and "was not made by this recipe" in done.stderr


def test_a_given_python_is_used_as_it_is(checkout, tmp_path):
    done = bash(f"python_path={sys.executable}\n{ENVIRONMENT}", checkout, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{sys.executable}\n")
    assert not (checkout / ".venv").exists()


def test_setting_up_is_continued_done_once_and_updated(checkout, tmp_path):
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("uv is not beside this Python")
    # Without a package index: uv is that of this Python.
    offline = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "cache")}
    done = bash(ENVIRONMENT, checkout, cwd=tmp_path, **offline)
    assert done.returncode == 1 and done.stdout == f"Setting up {checkout}/.venv (about 5 GB)\n"
    assert (
        f"error: setting up {checkout}/.venv failed; the same command continues it" in done.stderr
    )

    (site,) = (checkout / ".venv/lib").glob("python3*/site-packages")
    (site / "ours.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    (checkout / ".venv/bin/uv").symlink_to(uv)
    command = ["bash", "-c", ENVIRONMENT, "bash", checkout]
    both = [
        subprocess.Popen(
            command, cwd=tmp_path, env={**os.environ, **offline}, stdout=-1, stderr=-1, text=True
        )
        for _ in range(2)
    ]
    outputs = sorted(process.communicate(timeout=120) for process in both)
    assert [process.returncode for process in both] == [0, 0], outputs
    python = f"{checkout}/.venv/bin/python\n"
    assert [stdout for stdout, _ in outputs] == [
        f"Another run is setting up {checkout}/.venv; waiting for it\n{python}",
        f"Setting up {checkout}/.venv (about 5 GB)\n{python}",
    ]
    code = "import importlib.metadata as m; print(m.version('tiny'))"
    assert subprocess.check_output([python.strip(), "-c", code], text=True) == "1\n"

    assert bash(ENVIRONMENT, checkout, cwd=tmp_path, **offline).stdout == python
    (checkout / "setup.py").write_text("2")
    done = bash(ENVIRONMENT, checkout, cwd=tmp_path, **offline)
    assert done.returncode == 0 and done.stdout.startswith("Setting up ")
    assert subprocess.check_output([python.strip(), "-c", code], text=True) == "2\n"
    assert (site / "ours.pth").exists()  # over what was there, not from nothing
    assert (checkout.parent / ".venv/precious").exists()
