"""The score card: one JSON file that says what a run scored, on what, with what.

```
{
  "format": "asteroid-tfswa score card", "version": 1,
  "model": {"name", "sources", "sha256" of the file, "args"}                     or null,
  "separation": {"segment", "overlap"}                                          or null,
  "data": {"name", "fingerprint"},        # fingerprint: of all splits, see `PreparedData`
  "scorer": "fast 1" or "museval 0.4.1",
  "commit": of the package's checkout or null, "-dirty" added where files differ from it,
  "versions": {"asteroid-tfswa", "python", "numpy", "scipy", "torch"},
  "metrics": {name: one sentence},
  "songs": [{
    "song", "sample_rate", "n_samples",
    "methods": {method: {                 # "model", and "mixture", "best gain", "ratio mask" ...
      "stems": {stem: {"SDR": {"median", "mean"}, "SIR", "ISR", "SAR": likewise, over frames;
                       "uSDR", "SI-SDR": dB; "level" of the reference: dB of full scale;
                       "frames": {"SDR": [dB or null, one a second], "SIR", ...}  (model only)}},
      "left_out": [{"stem", "metrics", "reason", "frames" if only some}],
      "regularised": bool                 # SIR, ISR, SAR of band-limited references: not museval's
    }}
  }],
  "failed": ["<song>: reason"],
  "summary": see `summarise`: medians, means, intervals, what was left out
}
```

Values are in dB, null where undefined. Nothing in it depends on when or where it was made.
"""

import json
import os

import numpy as np

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write, remove_leftovers
from asteroid_tfswa.provenance import git_state, versions
from asteroid_tfswa.scores.names import FRAME_METRICS, MODEL, SONG_METRICS, json_name
from asteroid_tfswa.scores.tables import MEANINGS, format_table

FORMAT, VERSION = "asteroid-tfswa score card", 1
CARD, SUMMARY, TABLE, MUSEVAL = "score_card.json", "summary.json", "table.md", "museval/test"
PACKAGES = ("numpy", "scipy", "torch")


def make_card(songs, failed, summary, scorer, data, model=None, separation=None):
    """Make a score card.

    Args:
        songs (list[dict]): what `evaluate_songs` returns.
        failed (list[str]): likewise.
        summary (dict): from `summarise`.
        scorer (str): name and version.
        data (dict): "name" and "fingerprint" of the data.
        model (dict, optional): what is known of the model. Default None.
        separation (dict, optional): options of the separation. Default None.

    Returns:
        dict: of plain values, see above.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": model,
        "separation": separation,
        "data": data,
        "scorer": scorer,
        "commit": _commit(),
        "versions": versions(PACKAGES),
        "metrics": MEANINGS,
        "songs": [_song(song) for song in songs],
        "failed": failed,
        "summary": summary,
    }


def read_card(path):
    """Read a score card.

    Args:
        path (Path): the file.

    Returns:
        dict: what `make_card` made.

    Raises:
        InputError: if there is none, or it is of another version.
    """
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        found = card["format"], card["version"]
    except OSError as err:
        raise InputError(f"{path}: cannot be read ({err.strerror}); run stage 2 first") from err
    except (ValueError, LookupError, TypeError) as err:
        raise InputError(f"{path}: is not a score card, or is damaged; run stage 2 again") from err
    if found != (FORMAT, VERSION):
        raise InputError(
            f"{path}: is a {found[0]} of version {found[1]}, this program reads version {VERSION}; "
            "run stage 2 again"
        )
    return card


def _song(song):
    methods = {}
    for method, scores in song["scores"].items():
        stems = {}
        frames_of = {target["name"]: target["frames"] for target in scores["targets"]}
        for stem in scores["uSDR"]:
            frames = [frame["metrics"] for frame in frames_of.get(stem, ())]
            series = {metric: [frame[metric] for frame in frames] for metric in FRAME_METRICS}
            stems[stem] = {metric: _over_frames(values) for metric, values in series.items()}
            stems[stem] |= {metric: scores[metric][stem] for metric in SONG_METRICS}
            stems[stem]["level"] = scores.get("level", {}).get(stem)  # kept scores may lack it
            if method == MODEL:
                stems[stem]["frames"] = series
        methods[method] = {
            "stems": stems,
            "left_out": scores["left_out"],
            "regularised": scores["regularised"],
        }
    facts = {name: song[name] for name in ("song", "sample_rate", "n_samples")}
    return {**facts, "methods": methods}


def _over_frames(values):
    known = [value for value in values if value is not None]
    if not known:
        return {"median": None, "mean": None}
    return {"median": float(np.median(known)), "mean": float(np.mean(known))}


def _commit():
    """The commit of the checkout that the package runs from; None for an installed package."""
    state = git_state()
    return state and state["commit"] + "-dirty" * state["dirty"]


def check_results(folder, songs):
    """Check that results will replace nothing but earlier results.

    Args:
        folder (Path): see `write_results`.
        songs (list[str]): names of the songs that will be scored.

    Raises:
        InputError: if a file with the name of a result is not of the folder's score card.
    """
    earlier, names = _earlier_songs(folder), set(_museval_files(songs))
    if earlier is None:
        names |= {SUMMARY, TABLE, CARD}
    for name in sorted(names - set(_museval_files(earlier or []))):
        if os.path.lexists(folder / name):
            raise InputError(
                f"{folder / name}: would be replaced, and no {CARD} says that it is a result of an "
                "earlier run; move it away, or choose another output folder"
            )


def remove_results(folder):
    """Remove what `write_results` wrote; files of others, beside museval's, are kept.

    Args:
        folder (Path): see there.
    """
    _remove_museval_files(folder)
    for name in (SUMMARY, TABLE, CARD):
        (folder / name).unlink(missing_ok=True)


def _earlier_songs(folder):
    """Names of the songs of the score card in a folder; None if there is none that can be read."""
    try:
        names = [song["song"] for song in read_card(folder / CARD)["songs"]]
    except (InputError, LookupError, TypeError):
        return None
    return [name for name in names if isinstance(name, str) and os.sep not in name]


def _museval_files(songs):
    return [f"{MUSEVAL}/{json_name(song)}" for song in songs]


def _remove_museval_files(folder):
    for name in _museval_files(_earlier_songs(folder) or []):
        (folder / name).unlink(missing_ok=True)


def write_results(folder, songs, summary, card):
    """Write what an evaluation found, in place of earlier results.

    Args:
        folder (Path): gets ``score_card.json``, ``summary.json``, ``table.md``, and for each song
            ``museval/test/<song>.json``, which museval's `EvalStore.add_eval_dir` reads. No other
            run may be writing to it.
        songs (list[dict]): what `evaluate_songs` returns.
        summary (dict): from `summarise`.
        card (dict): from `make_card`.
    """
    _remove_museval_files(folder)
    # The card comes first: it says which of those files are results.
    for name, plain in ((CARD, card), (SUMMARY, summary)):
        with atomic_write(folder / name) as tmp:
            tmp.write_text(json.dumps(plain, indent=1, allow_nan=False))
    with atomic_write(folder / TABLE) as tmp:
        tmp.write_text(format_table(summary), encoding="utf-8")
    (folder / MUSEVAL).mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder / MUSEVAL)
    for song in songs:
        targets = [
            {"name": target["name"], "frames": [_with_nan(frame) for frame in target["frames"]]}
            for target in song["scores"][MODEL]["targets"]
        ]
        with atomic_write(folder / MUSEVAL / json_name(song["song"])) as tmp:
            tmp.write_text(json.dumps({"targets": targets}, indent=2))


def _with_nan(frame):
    """A frame in museval's form, which has NaN where ours has None."""
    metrics = frame["metrics"].items()
    return {**frame, "metrics": {name: np.nan if x is None else x for name, x in metrics}}
