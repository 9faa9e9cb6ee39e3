"""Evaluation of a training: the test songs separated, scored and summed up in a table."""

import hashlib
import shutil

import torch
import yaml
from tqdm import tqdm

from asteroid_tfswa.devices import choose_devices
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.models.base import MusicModel
from asteroid_tfswa.scores.museval import ScoreJob, evaluate_songs
from asteroid_tfswa.scores.tables import format_table, summarise, write_summary
from asteroid_tfswa.separate import separate_file


def evaluate(exp_dir, data, device="", segment=6.0, overlap=0.25, batch_size=1, n_jobs=0):
    """Separate and score the test songs with the best model of a training.

    `exp_dir` gets ``estimates/<song>/<source>.wav``, ``scores/<song>.json``, and in ``scores`` the
    summary as ``summary.json`` and ``table.md``. Songs that were separated with the same model and
    options are not separated again.

    Args:
        exp_dir (Path): folder of the training, with ``best_model.pth``.
        data (PreparedData): its split "test" is evaluated.
        device (str): "" for the first GPU or, without any, the CPU; "cpu"; "1" for that GPU.
        segment (float): length of a chunk in seconds. Default 6.
        overlap (float): share of a chunk that overlaps the next. Default 0.25.
        batch_size (int): chunks that go through the model at once. Default 1.
        n_jobs (int): songs that are scored in parallel; 0 is one per core. Default 0.

    Returns:
        str: the table.

    Raises:
        InputError: if there is no model, or a song cannot be separated with it.
    """
    model_file = exp_dir / "best_model.pth"
    if not model_file.is_file():
        raise InputError(f"no trained model: {model_file} is missing; run stage 1 first")
    model = MusicModel.from_pretrained(model_file).to(_torch_device(device)).eval()
    songs = data.splits["test"]
    for song in songs:
        missing = set(model.sources) - set(song.stems)
        if missing:
            raise InputError(f"{song.folder} has no {', '.join(sorted(missing))} to compare with")

    _drop_outdated(exp_dir, model_file, segment=segment, overlap=overlap)
    options = {"segment": segment, "overlap": overlap, "batch_size": batch_size}
    separate_songs(model, songs, exp_dir / "estimates", **options)
    jobs = [
        ScoreJob(song.name, song.folder, exp_dir / "estimates" / song.name, tuple(model.sources))
        for song in songs
    ]
    summary = summarise(evaluate_songs(jobs, exp_dir / "scores", n_jobs or None), model.sources)
    write_summary(summary, exp_dir / "scores")
    return format_table(summary)


def separate_songs(model, songs, folder, **options):
    """Separate songs to ``<folder>/<song>/<source>.wav``; songs that are there are kept.

    Args:
        model (MusicModel): the model.
        songs (list[Song]): prepared songs.
        folder (Path): where their folders go; each appears when it is complete.
        **options: `segment`, `overlap` and `batch_size` of `separate_blocks`.
    """
    seconds = [song.n_samples / song.sample_rate for song in songs]
    form = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of audio [{remaining} left]"
    with tqdm(total=sum(seconds), desc="separating", bar_format=form) as bar:
        for song, length in zip(songs, seconds):
            unfinished = folder / f".{song.name}"
            if not (folder / song.name).exists():
                separate_file(
                    model,
                    song.mixture,
                    unfinished,
                    "{stem}.{ext}",
                    progress=bar.update,
                    **options,
                )
                unfinished.rename(folder / song.name)
            else:
                bar.update(length)


def _torch_device(device):
    hardware = choose_devices(device, "32-true")
    if hardware["n_devices"] > 1:
        device = str(hardware["devices"][0])  # one is enough to separate
    return torch.device("cpu" if hardware["accelerator"] == "cpu" else f"cuda:{device or 0}")


def _drop_outdated(exp_dir, model_file, **options):
    """Remove what another model, or the same with other options, has separated."""
    made_with = {"model": hashlib.sha256(model_file.read_bytes()).hexdigest(), **options}
    record = exp_dir / "estimates" / "made_with.yml"
    if record.is_file() and yaml.safe_load(record.read_text()) == made_with:
        return
    for folder in ("estimates", "scores"):
        shutil.rmtree(exp_dir / folder, ignore_errors=True)
    with atomic_write(record) as tmp:
        tmp.write_text(yaml.safe_dump(made_with))
