"""Tell what works on this machine and what does not, with the remedy.

The exit status is 0 if separation and training can work.
"""

import contextlib
import importlib
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch

from asteroid_tfswa.devices import PRECISIONS, usable_cores, usable_memory
from asteroid_tfswa.models import TFSWAUNet

# Names of the package and of its module, and what it is for where we can do without.
PACKAGES = (
    ("torch", "torch", None),
    ("torchaudio", "torchaudio", None),
    ("asteroid", "asteroid", None),
    ("asteroid-filterbanks", "asteroid_filterbanks", None),
    ("pytorch-lightning", "pytorch_lightning", None),
    ("numpy", "numpy", None),
    ("soundfile", "soundfile", None),
    ("tensorboard", "tensorboard", None),
    ("museval", "museval", "scoring"),
    ("musdb", "musdb", "scoring"),
    ("stempeg", "stempeg", "scoring"),
    ("onnxscript", "onnxscript", "onnx"),
    ("onnxruntime", "onnxruntime", "onnx"),
)
# File formats: suffix, and libsndfile's subtype.
FORMATS = (("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_24"))
FORMATS += (("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III"))
DTYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
GB = 1e9


class Check(NamedTuple):
    """One thing that was looked at.

    Attributes:
        name (str): what.
        ok (bool): whether it works.
        found (str): what was found.
        remedy (str): what to do where it does not work.
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
    """Look at everything.

    Yields:
        Check: one after the other, as soon as it is done.
    """
    yield Check("python", True, f"{platform.python_version()} on {platform.platform()}")
    for program in ("ffmpeg", "ffprobe"):
        yield check_program(program)
    for package, module, extra in PACKAGES:
        yield check_package(package, module, extra)
    for suffix, subtype in FORMATS:
        yield check_format(suffix, subtype)
    yield from check_room()
    yield from check_gpus()
    for device in find_devices():
        yield check_model(device)


def check_package(package, module, extra=None):
    """Import a package.

    Args:
        package (str): its name for pip.
        module (str): its name in Python.
        extra (str, optional): our extra that brings it, if we can do without.

    Returns:
        Check: with its version, or why it cannot be imported.
    """
    wanted = f"asteroid-tfswa[{extra}]" if extra else "asteroid-tfswa"
    try:
        with contextlib.redirect_stdout(None):  # stempeg prints
            importlib.import_module(module)
        return Check(package, True, metadata.version(package), needed=extra is None)
    except ModuleNotFoundError as err:
        found, remedy = _line(err), f"pip install '{wanted}'"
    except (ImportError, AttributeError, OSError, RuntimeError, ValueError) as err:
        found, remedy = _line(err), "put that right, or install it again"
    return Check(package, False, found, remedy, needed=extra is None)


def check_program(program):
    """Run a program of ffmpeg.

    Args:
        program (str): "ffmpeg" or "ffprobe".

    Returns:
        Check: with its version.
    """
    remedy = (
        "MUSDB18's stem.mp4, m4a and video files cannot be read nor scores be computed without: "
        "apt install ffmpeg, brew install ffmpeg or conda install -c conda-forge ffmpeg"
    )
    try:
        lines = _output([program, "-version"])
        return Check(
            program, True, lines[0].split(" Copyright")[0].removeprefix(f"{program} version ")
        )
    except (OSError, subprocess.SubprocessError, IndexError) as err:
        found = _line(err) if shutil.which(program) else "is not on PATH"
        return Check(program, False, found, remedy)


def check_format(suffix, subtype):
    """Write a stereo file and read it again.

    Args:
        suffix (str): of the file's name.
        subtype (str): libsndfile's name of the encoding.

    Returns:
        Check: only wav is needed.
    """
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
        reason = "comes back changed"
    except (OSError, ValueError, RuntimeError, TypeError) as err:
        reason = _line(err)
    remedy = "pip install -U 'soundfile>=0.13'"
    return Check(name, False, f"{library}: {reason}", remedy, needed=suffix == "wav")


def check_room():
    """Look at cores, memory and disks.

    Yields:
        Check: one each.
    """
    yield Check("cores", True, str(usable_cores()))
    memory = usable_memory() / GB
    remedy = "separation needs 1.5 GB: close other programs, give --segment 3"
    yield Check("memory", memory > 2, f"{memory:.1f} GB", remedy)
    free = shutil.disk_usage(".").free / GB
    remedy = "make room: a song's stems take about 0.2 GB, MUSDB18-HQ takes 60 GB prepared"
    yield Check("disk, this folder", free > 1, f"{free:.1f} GB free", remedy)
    if Path("/dev/shm").is_dir():
        free = shutil.disk_usage("/dev/shm").free / GB
        remedy = "training's num_workers share batches there: docker run --shm-size=8g"
        yield Check("shared memory", free > 1, f"{free:.1f} GB free", remedy)


def check_gpus():
    """Look for GPUs that the system has and torch cannot use.

    Yields:
        Check: one if there is a GPU or should be.
    """
    if torch.cuda.is_available():
        return
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        gpus = [line for line in _output(["nvidia-smi", "-L"]) if line.startswith("GPU")]
        if gpus:
            build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
            remedy = "update the driver, and look at CUDA_VISIBLE_DEVICES"
            yield Check("GPU", False, f"torch ({build}) cannot use {gpus[0]}", remedy)
            return
    yield Check("GPU", True, "none; separation works on the CPU, training takes many times longer")


def find_devices():
    """List the devices that torch can use.

    Returns:
        list[torch.device]: the CPU first.
    """
    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [torch.device(device) for device in devices]


def check_model(device):
    """Separate and train a tiny model for a step, in every precision.

    Args:
        device (torch.device): where.

    Returns:
        Check: with the device's name and memory, and the precisions that work.
    """
    works, reason = [], ""
    for precision in PRECISIONS:
        try:
            if _fits(device, precision) and _step_is_finite(device, DTYPES[precision]):
                works.append(precision)
        except RuntimeError as err:  # out of memory, no kernel for this GPU, and the like
            reason = f" ({_line(err)})"
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        gpu = torch.cuda.get_device_properties(device)
        name = f"{gpu.name}, {gpu.total_memory / GB:.1f} GB"
    found = f"{name}: precision {', '.join(works)}" if works else f"{name}: fails{reason}"
    remedy = "pip install 'torch==2.11.*' 'torchaudio==2.11.*', for a GPU built for its driver"
    return Check(f"model on {device}", bool(works), found, remedy, needed=device.type == "cpu")


def _fits(device, precision):
    """Whether the device has the precision itself, rather than imitating it."""
    if device.type == "cuda" and precision == "bf16-mixed":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    other_than_cuda = {"cpu": ("32-true", "bf16-mixed"), "mps": ("32-true",)}
    return precision in other_than_cuda.get(device.type, PRECISIONS)


def _step_is_finite(device, dtype):
    sizes = {"widths": (4, 8), "depths": (1, 1), "n_heads": 1, "window": 4}
    model = TFSWAUNet(**sizes, n_filters=64, kernel_size=64, stride=32).to(device)
    wav = torch.randn(1, 2, 2000, device=device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        loss = (model(wav) - wav[:, None]).abs().mean()
    loss.backward()
    return bool(torch.isfinite(loss))


def _output(command):
    result = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20, check=True
    )
    return result.stdout.splitlines()


def _line(err):
    return " ".join(str(err).split())[:200] or type(err).__name__
