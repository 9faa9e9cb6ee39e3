"""Evaluation of a training run: the test songs separated, scored and summed up in a table."""

import contextlib
import os
import shutil

import soundfile
import torch
import yaml
from tqdm import tqdm

from asteroid_tfswa.devices import choose_devices
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_folder, atomic_write, remove_leftovers
from asteroid_tfswa.locks import locked
from asteroid_tfswa.models.base import MusicModel
from asteroid_tfswa.models.publish import write_draft_card
from asteroid_tfswa.provenance import model_digest
from asteroid_tfswa.scores.baselines import mask_form
from asteroid_tfswa.scores.card import make_card, remove_results, write_results
from asteroid_tfswa.scores.jobs import ScoreJob, ScoreOptions, evaluate_songs
from asteroid_tfswa.scores.names import json_name, state_of
from asteroid_tfswa.scores.tables import format_table, summarise
from asteroid_tfswa.separate import separate_file


def evaluate(
    exp_dir,
    data,
    device="",
    segment=6.0,
    overlap=0.25,
    batch_size=1,
    scorer="fast",
    n_jobs=0,
):
    """Separate and score the test songs with the best model of a training run.

    `exp_dir` gets ``estimates/<song>/<source>.wav``; in ``scores`` for each song ``<song>.json``,
    and for museval's tools ``museval/test/<song>.json``; the score card ``score_card.json`` with
    the summary as ``summary.json`` and ``table.md``; and the model card, ``model_card.md``, in
    which names are missing. The baselines' scores are kept beside the
    data, or in `exp_dir` where nothing can be written there. Songs that were separated with the
    same model, options and data are not separated again. Files of these folders that were damaged
    or changed since are made again.

    Args:
        exp_dir (Path): folder of the training run, with ``best_model.pth``. No other run may be
            writing to it.
        data (PreparedData): its split "test" is evaluated.
        device (str): where to separate and to score: "" for the first GPU or, without any, the CPU;
            "cpu"; "1" for that GPU.
        segment (float): length of a chunk in seconds. Default 6.
        overlap (float): share of a chunk that overlaps the next. Default 0.25.
        batch_size (int): chunks that go through the model at once. Default 1.
        scorer (str): "fast" or "museval". Default "fast".
        n_jobs (int): songs that are scored in parallel; 0 is one per core. Default 0.

    Returns:
        tuple[str, list[str]]: the table, and for each song that could not be separated or scored a
        line that says why.

    Raises:
        InputError: if there is no model, it gives a stem that a song lacks, or another run has the
            folder.
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

        separation = {"segment": segment, "overlap": overlap}
        made_with = _drop_outdated(exp_dir, model_file, songs, **separation)
        failed = separate_songs(
            model, songs, exp_dir / "estimates", batch_size=batch_size, **separation
        )
        jobs = [
            _score_job(song, exp_dir / "estimates" / song.name, model.sources)
            for song in songs
            if song.name not in failed
        ]
        where = str(next(model.parameters()).device)
        options = ScoreOptions(scorer, mask_form(model.get_model_args()), where)
        with _baseline_folder(songs, exp_dir) as baseline_dir:
            scored, not_scored = evaluate_songs(
                jobs, exp_dir / "scores", baseline_dir, options, n_jobs or None
            )
        failed = [f"{name}: {reason}" for name, reason in failed.items()] + not_scored
        summary = summarise(scored, model.sources)
        about_model = {
            "name": type(model).__name__,
            "sources": list(model.sources),
            "sha256": made_with["model"],
            "args": model.get_model_args(),
        }
        about_data = {"name": data.name, "fingerprint": data.fingerprint}
        scorer = options.describe()
        card = make_card(scored, failed, summary, scorer, about_data, about_model, separation)
        write_results(exp_dir / "scores", scored, summary, card)
        write_draft_card(exp_dir)
    return format_table(summary), failed


def _score_job(song, estimates, sources):
    return ScoreJob(
        song.name,
        song.mixture,
        {source: song.stems[source] for source in sources},
        {source: estimates / f"{source}.wav" for source in sources},
        song.fingerprint,
    )


@contextlib.contextmanager
def _baseline_folder(songs, exp_dir):
    """Lock the folder of the baselines' scores: beside the data, or where nothing can be written
    there or another run does so, in `exp_dir`."""
    data_dirs = {song.folder.resolve().parents[1] for song in songs}
    with contextlib.ExitStack() as stack:
        beside = [path.with_name(f"{path.name}.baselines") for path in data_dirs]
        for folder in [*beside, exp_dir / "baselines"]:
            try:
                stack.enter_context(locked(folder))
            except (InputError, OSError):
                continue
            break
        yield folder


def separate_songs(model, songs, folder, **options):
    """Separate songs to ``<folder>/<song>/<source>.wav``; songs that were separated are kept.

    Args:
        model (MusicModel): the model.
        songs (list[Song]): prepared songs.
        folder (Path): where their folders go; each appears when it is complete.
        **options: `segment`, `overlap` and `batch_size` of `separate_blocks`.

    Returns:
        dict[str, str]: for each song that could not be separated, the reason.
    """
    failed = {}
    seconds = [song.n_samples / song.sample_rate for song in songs]
    form = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of audio [{remaining} left]"
    with tqdm(total=sum(seconds), desc="separating", bar_format=form) as bar:
        for song, length in zip(songs, seconds):
            if _is_separated(song, folder / song.name, model.sources):
                bar.update(length)
                continue
            try:
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
            except (InputError, OSError) as error:
                failed[song.name] = str(error)
    return failed


def _is_separated(song, folder, sources):
    """Whether all estimates of a song can be read and have its length."""
    try:
        # Names need not be UTF-8.
        infos = [soundfile.info(os.fsencode(folder / f"{source}.wav")) for source in sources]
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
    made_with = {"model": model_digest(model_file), **options}
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
    if outdated or before != made_with:
        # Results are of all songs. They go before the record changes, so that however this run
        # ends, none are taken for those of the new model.
        remove_results(exp_dir / "scores")
        (exp_dir / "model_card.md").unlink(missing_ok=True)
    of_scores = {json_name(str(name)) for name in outdated}
    for folder, names in (("estimates", outdated), ("scores", of_scores)):
        for path in (exp_dir / folder).glob("*"):
            if path.name in names:
                _remove(path)
    with atomic_write(record) as tmp:
        tmp.write_text(yaml.safe_dump({**made_with, "songs": states}))
    return made_with


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
