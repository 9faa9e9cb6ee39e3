"""Show what works on this machine and what does not, with the remedy.

The exit status is 0 if separation and training can work.
"""

# Neither the package nor anything that it needs is imported at the top: this module must run where
# that fails.
import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

# Name of the package, name of its module, and the extra that needs it; None if it is required.
PACKAGES = (
    ("torch", "torch", None),
    ("torchaudio", "torchaudio", None),
    ("asteroid", "asteroid", None),
    ("asteroid-filterbanks", "asteroid_filterbanks", None),
    ("pytorch-lightning", "pytorch_lightning", None),
    ("numpy", "numpy", None),
    ("soundfile", "soundfile", None),
    ("mutagen", "mutagen", None),
    ("soxr", "soxr", None),
    ("scipy", "scipy.optimize", None),
    ("pillow", "PIL.Image", None),
    ("pyyaml", "yaml", None),
    ("tqdm", "tqdm", None),
    ("tensorboard", "tensorboard", None),
    ("matplotlib", "matplotlib.figure", None),
    ("requests", "requests", None),
    ("setuptools", "pkg_resources", None),
    ("museval", "museval", "scoring"),
    ("musdb", "musdb", "scoring"),
    ("stempeg", "stempeg", "scoring"),
    ("tinysoundfont", "tinysoundfont", "demo"),
    ("pretty_midi", "pretty_midi", "demo"),
    ("onnx", "onnx", "onnx"),
    ("onnxscript", "onnxscript", "onnx"),
    ("onnxruntime", "onnxruntime", "onnx"),
    ("mido", "mido", "freestems"),
    ("pyworld-prebuilt", "pyworld", "freestems"),
    ("python-stretch", "python_stretch", "freestems"),
)
# Imports the modules named on the command line and prints for each whether it works, or why not.
IMPORT = """
import contextlib, importlib, os, sys
from importlib import metadata
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # some packages print
for name in sys.argv[1:]:
    package, module = name.split("/")
    try:
        importlib.import_module(module)
        try:
            line = "ok " + metadata.version(package)
        except metadata.PackageNotFoundError:
            line = "ok unknown version"
    except ModuleNotFoundError as err:
        line = f"missing {err}"
    except Exception as err:
        line = f"broken {err or type(err).__name__}"
    print(" ".join(line.split())[:200], file=out, flush=True)
"""
# File formats: suffix, and libsndfile's subtype.
FORMATS = (("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_24"))
FORMATS += (("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III"))
MACHINE_FLAGS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512"}  # bfloat16 in hardware
GB = 1e9


class Check(NamedTuple):
    """One thing that was checked.

    Attributes:
        name (str): what.
        ok (bool): whether it works.
        found (str): what was found.
        remedy (str): what to do if it does not work.
        needed (bool): whether separation and training need it.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""
    needed: bool = False

    def __str__(self):
        remedy = "" if self.ok else f"; {self.remedy}"
        return f"{'ok' if self.ok else 'missing':9}{self.name:22}{self.found}{remedy}"


def add_arguments(parser):
    """The command has no arguments."""


def run(args):
    """Print a line for each check as soon as it is done."""
    broken = []
    for check in diagnose():
        print(check, flush=True)
        if check.needed and not check.ok:
            broken.append(check.name)
    if broken:
        print(f"Separation and training cannot work yet: see {', '.join(broken)} above.")
        sys.exit(1)
    print("Separation and training can work.")


def diagnose():
    """Run all checks.

    Yields:
        Check: one after the other, as soon as it is done.
    """
    yield Check("python", True, f"{platform.python_version()} on {platform.platform()}")
    for program in ("ffmpeg", "ffprobe"):
        yield check_program(program)
    works = set()
    for check in check_packages(PACKAGES):
        yield check
        works.update([check.name] if check.ok else [])
    yield from check_cpu()
    yield from check_disks()
    if {"numpy", "soundfile"} <= works:
        for suffix, subtype in FORMATS:
            yield check_format(suffix, subtype)
    if works >= {package for package, _, extra in PACKAGES if extra is None}:
        from asteroid_tfswa.cli.device_checks import check_devices

        yield from check_devices()


def check_packages(packages):
    """Import packages in a process of their own, which a broken one can crash.

    Args:
        packages (sequence of tuple): see PACKAGES.

    Yields:
        Check: with the version, or why it cannot be imported.
    """
    packages = list(packages)
    while packages:
        names = [f"{package}/{module}" for package, module, _ in packages]
        process = subprocess.Popen(
            [sys.executable, "-c", IMPORT, *names],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with process:
            for line in process.stdout:
                yield _package_check(*packages.pop(0), line.strip())
        if packages:  # the process ended while it imported this one
            how = process.returncode
            name = signal.Signals(-how).name if how < 0 else f"status {how}"
            yield _package_check(*packages.pop(0), f"broken its import ends Python with {name}")


def _package_check(package, module, extra, line):
    state, _, found = line.partition(" ")
    remedy = f"pip install 'asteroid-tfswa{f'[{extra}]' if extra else ''}'"
    if state == "broken":
        remedy = f"pip install --force-reinstall '{package}'"
        if package in ("torch", "torchaudio"):
            remedy = "pip install --force-reinstall 'torch==2.11.*' 'torchaudio==2.11.0'"
    return Check(package, state == "ok", found, remedy, needed=extra is None)


def check_program(program):
    """Run a program of ffmpeg.

    Args:
        program (str): "ffmpeg" or "ffprobe".

    Returns:
        Check: with its version.
    """
    remedy = (
        "without it stem.mp4, m4a and video files cannot be read, nor --scorer museval used: "
        "apt install ffmpeg, brew install ffmpeg or conda install -c conda-forge ffmpeg"
    )
    try:
        lines = output_lines([program, "-version"])
        return Check(
            program, True, lines[0].split(" Copyright")[0].removeprefix(f"{program} version ")
        )
    except (OSError, subprocess.SubprocessError, IndexError) as err:
        found = one_short_line(err) if shutil.which(program) else "is not on PATH"
        return Check(program, False, found, remedy)


def check_format(suffix, subtype):
    """Write a stereo file and read it again.

    Args:
        suffix (str): of the file's name.
        subtype (str): libsndfile's name of the encoding.

    Returns:
        Check: only wav is needed.
    """
    import numpy as np
    import soundfile

    name = f"{suffix} {subtype}"
    library = f"libsndfile {soundfile.__libsndfile_version__}"
    tone = 0.5 * np.sin(np.arange(44100) * 0.05)
    wave = np.stack([tone, -tone], axis=1).astype(np.float32)  # (time, chan)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"tone.{suffix}"
            soundfile.write(path, wave, 44100, subtype=subtype)
            again, rate = soundfile.read(path, dtype="float32")
        # Lossy formats keep the tone but not each sample, and mp3 may add some at the ends.
        if (rate, again.shape[1]) == (44100, 2) and 0.4 < abs(again[1000:40000]).max() < 0.6:
            return Check(name, True, library, needed=suffix == "wav")
        reason = "what is read differs from what was written"
    except (OSError, ValueError, RuntimeError, TypeError) as err:
        reason = one_short_line(err)
    remedy = "pip install -U 'soundfile>=0.13'"
    return Check(name, False, f"{library}: {reason}", remedy, needed=suffix == "wav")


def check_cpu():
    """Check the CPU.

    Yields:
        Check: its cores, and whether bfloat16 is fast on it.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Check("cores", True, str(cores))
    with contextlib.suppress(OSError):
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
        names = [name for flag, name in MACHINE_FLAGS.items() if flag in flags]
        found = f"in hardware ({', '.join(names)})" if names else "emulated, slower than float32"
        yield Check("bfloat16 on the CPU", True, found)


def check_disks():
    """Check the disks that separation and training write to.

    Yields:
        Check: one each.
    """
    free = shutil.disk_usage(".").free / GB
    remedy = "make room: a song's stems take about 0.2 GB, MUSDB18-HQ takes 60 GB prepared"
    yield Check("disk, this folder", free > 1, f"{free:.1f} GB free", remedy)
    if Path("/dev/shm").is_dir():
        free = shutil.disk_usage("/dev/shm").free / GB
        remedy = "training's num_workers share batches there: docker run --shm-size=8g"
        yield Check("shared memory", free > 1, f"{free:.1f} GB free", remedy)


def output_lines(command):
    """Run a program.

    Args:
        command (list of str): the program and its arguments.

    Returns:
        list[str]: the lines that it prints.

    Raises:
        OSError or subprocess.SubprocessError: if it cannot run, fails, or takes over 20 seconds.
    """
    result = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20, check=True
    )
    return result.stdout.splitlines()


def one_short_line(err):
    """Return the message of an exception on one line of at most 200 characters."""
    return " ".join(str(err).split())[:200] or type(err).__name__
