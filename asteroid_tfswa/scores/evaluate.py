"""Evaluation of a training run: the test songs separated, scored and summed up in a table."""

import contextlib
import hashlib
import shutil

import soundfile
import torch
import yaml
from tqdm import tqdm

from asteroid_tfswa.devices import choose_devices
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_folder, atomic_write, locked, remove_leftovers
from asteroid_tfswa.models.base import MusicModel
from asteroid_tfswa.scores.jobs import ScoreJob, evaluate_songs, state_of
from asteroid_tfswa.scores.tables import format_table, summarise, write_summary
from asteroid_tfswa.separate import separate_file


def evaluate(exp_dir, data, device="", segment=6.0, overlap=0.25, batch_size=1, n_jobs=0):
    """Separate and score the test songs with the best model of a training run.

    `exp_dir` gets ``estimates/<song>/<source>.wav``, ``scores/<song>.json``, and in ``scores`` the
    summary as ``summary.json`` and ``table.md``. Songs that were separated with the same model,
    options and data are not separated again. Files of this folder that were damaged or changed
    since are made again.

    Args:
        exp_dir (Path): folder of the training run, with ``best_model.pth``. No other run may be
            writing to it.
        data (PreparedData): its split "test" is evaluated.
        device (str): "" for the first GPU or, without any, the CPU; "cpu"; "1" for that GPU.
        segment (float): length of a chunk in seconds. Default 6.
        overlap (float): share of a chunk that overlaps the next. Default 0.25.
        batch_size (int): chunks that go through the model at once. Default 1.
        n_jobs (int): songs that are scored in parallel; 0 is one per core. Default 0.

    Returns:
        str: the table.

    Raises:
        InputError: if there is no model, a song cannot be separated with it, or another run has
            the folder.
    """
    model_file = exp_dir / "best_model.pth"
    if not model_file.is_file():
        raise InputError(f"no trained model: {model_file} is missing; run stage 1 first")
    with locked(exp_dir):
        for folder in (exp_dir / "estimates", exp_dir / "scores"):
            folder.mkdir(exist_ok=True)
            remove_leftovers(folder)
        model = MusicModel.from_pretrained(model_file).to(_torch_device(device)).eval()
        songs = data.splits["test"]
        for song in songs:
            missing = set(model.sources) - set(song.stems)
            if missing:
                names = ", ".join(sorted(missing))
                raise InputError(f"{song.folder} has no {names} to compare with")

        options = {"segment": segment, "overlap": overlap, "batch_size": batch_size}
        _drop_outdated(exp_dir, model_file, songs, segment=segment, overlap=overlap)
        separate_songs(model, songs, exp_dir / "estimates", **options)
        jobs = [
            ScoreJob(
                song.name,
                song.folder,
                exp_dir / "estimates" / song.name,
                tuple(model.sources),
                song.fingerprint,
            )
            for song in songs
        ]
        summary = summarise(evaluate_songs(jobs, exp_dir / "scores", n_jobs or None), model.sources)
        write_summary(summary, exp_dir / "scores")
    return format_table(summary)


def separate_songs(model, songs, folder, **options):
    """Separate songs to ``<folder>/<song>/<source>.wav``; songs that were separated are kept.

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
            if _is_separated(song, folder / song.name, model.sources):
                bar.update(length)
                continue
            _remove(folder / song.name)
            with atomic_folder(folder / song.name) as unfinished:
                separate_file(
                    model,
                    song.mixture,
                    unfinished,
                    "{stem}.{ext}",
                    progress=bar.update,
                    **options,
                )


def _is_separated(song, folder, sources):
    """Whether all estimates of a song can be read and have its length."""
    try:
        infos = [soundfile.info(folder / f"{source}.wav") for source in sources]
    except (OSError, soundfile.LibsndfileError):
        return False
    wanted = (song.n_samples, song.n_channels, song.sample_rate)
    return all((info.frames, info.channels, info.samplerate) == wanted for info in infos)


def _torch_device(device):
    hardware = choose_devices(device, "32-true")
    if hardware["accelerator"] == "cpu":
        return torch.device("cpu")
    return torch.device("cuda", hardware["devices"][0])  # one is enough to separate


def _drop_outdated(exp_dir, model_file, songs, **options):
    """Remove what another model, other options or other audio have made, and record what will."""
    record = exp_dir / "estimates" / "made_with.yml"
    made_with = {"model": hashlib.sha256(model_file.read_bytes()).hexdigest(), **options}
    states = {song.name: f"{song.fingerprint} {state_of([song.mixture])}" for song in songs}
    before = _read_record(record)
    states_before = before.pop("songs", {})
    if not isinstance(states_before, dict):
        states_before = {}
    outdated = {
        name
        for name in {**states_before, **states}
        if before != made_with or states_before.get(name) != states.get(name)
    }
    for folder, suffix in (("estimates", ""), ("scores", ".json")):
        for path in (exp_dir / folder).glob(f"*{suffix}"):
            if path.name.removesuffix(suffix) in outdated:
                _remove(path)
    with atomic_write(record) as tmp:
        tmp.write_text(yaml.safe_dump({**made_with, "songs": states}))


def _read_record(path):
    """Read the record of what made the estimates; if it cannot be read, they are made again."""
    with contextlib.suppress(OSError, ValueError, RecursionError, yaml.YAMLError):
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(record, dict):
            return record
    return {}


def _remove(path):
    """Remove a folder or file, if it exists; a link is removed, not what it points to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
