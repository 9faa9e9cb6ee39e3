"""What a training run will need: memory, time, disk; from a few real steps."""

import math

import torch
from tqdm import tqdm

from asteroid_tfswa.data.songs import read_prepared
from asteroid_tfswa.devices import choose_devices
from asteroid_tfswa.engine.planning.trial import measure
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.machine import usable_memory

GPU_SHARE = 0.92  # of a GPU's memory: the rest is its libraries' and fragments
CPU_SHARE = 0.8  # of the machine's memory: the rest is other programs'


def plan(conf, data_dir=None, devices="", precisions=None):
    """Measure a few steps at several batch sizes and precisions, and work out the schedule.

    Args:
        conf (dict): configuration of the recipe.
        data_dir (Path, optional): prepared songs; without them noise is trained on, and the time
            of validation is unknown.
        devices (str): see `train`. Steps are measured on the first of them.
        precisions (list of str, optional): to measure besides the configured one. Default: none.

    Returns:
        dict: "device" (str), "n_devices", "memory_gib" (usable), "trials" (for each "precision",
        "batch_size" and what `measure` returns), "largest_batch" (by precision; None if unknown),
        and "schedule": "segments_per_second", "train_hours", "validation_hours" (None without
        data), "hours", "device_hours", "disk_gib" (checkpoints and model; the logs are small) and
        "data_gib" (of the prepared songs; None without data). Speed is taken to grow with the
        number of devices.

    Raises:
        InputError: if not even one batch size of the configured precision works.
    """
    training = conf["training"]
    hardware = choose_devices(devices, training["precision"])
    on_gpu = hardware["accelerator"] == "gpu"
    device = str(hardware["devices"][0]) if on_gpu else "cpu"
    memory = CPU_SHARE * usable_memory()
    if on_gpu:
        memory = GPU_SHARE * torch.cuda.get_device_properties(int(device)).total_memory
    wanted = [hardware["precision"], *(precisions or [])]
    sizes = sorted({1, max(1, training["batch_size"] // 2), training["batch_size"]})
    trials = [
        {"precision": precision, "batch_size": size}
        for precision in dict.fromkeys(wanted)
        for size in sizes
    ]
    for trial in tqdm(trials, desc="measuring", unit="trial"):
        trial |= measure(conf, trial["batch_size"], trial["precision"], data_dir, device)
    own = [t for t in trials if t["precision"] == hardware["precision"]]
    works = [t for t in own if "error" not in t]
    n_devices = hardware["n_devices"] * training["num_nodes"]
    if not works:
        raise InputError(own[0]["error"])
    return {
        "device": torch.cuda.get_device_name(int(device)) if on_gpu else "CPU",
        "n_devices": n_devices,
        "memory_gib": memory / 2**30,
        "trials": trials,
        "largest_batch": {p: _largest(trials, p, memory / 2**30) for p in dict.fromkeys(wanted)},
        "schedule": _schedule(conf, works[-1], n_devices, data_dir),
    }


def _largest(trials, precision, memory):
    """The largest batch that fits, as memory grows by the same amount with every segment."""
    found = [t for t in trials if t["precision"] == precision and "error" not in t]
    if len(found) < 2:
        return None
    first, last = found[0], found[-1]
    slope = (last["memory_gib"] - first["memory_gib"]) / (last["batch_size"] - first["batch_size"])
    if slope <= 0:
        return None
    return max(int(last["batch_size"] + (memory - last["memory_gib"]) / slope), 0)


def _schedule(conf, trial, n_devices, data_dir):
    training, validation = conf["training"], conf["validation"]
    speed = trial["segments_per_second"] * n_devices
    train_hours = training["epochs"] * training["epoch_size"] / speed / 3600
    validation_hours = data_gib = None
    if data_dir:
        data_gib = sum(file.stat().st_size for file in data_dir.glob("*/*/*.wav")) / 2**30
        part = validation["valid_seconds"] or float("inf")
        songs = read_prepared(data_dir).splits["valid"]
        audio = sum(min(song.n_samples / song.sample_rate, part) for song in songs)
        share = audio / trial["valid_audio"] / n_devices
        n_validations = math.ceil(training["epochs"] / validation["valid_every"])
        validation_hours = n_validations * trial["validation_seconds"] * share / 3600
    hours = train_hours + (validation_hours or 0.0)
    states = (training["keep_checkpoints"] + 1) * trial["checkpoint_bytes"]
    return {
        "batch_size": trial["batch_size"],
        "segments_per_second": speed,
        "train_hours": train_hours,
        "validation_hours": validation_hours,
        "hours": hours,
        "device_hours": hours * n_devices,
        "data_gib": data_gib,
        # One more state while a new one is written.
        "disk_gib": (states + trial["checkpoint_bytes"] + trial["model_bytes"]) / 2**30,
    }
