"""The page of a run: test songs to listen to, scores, training curves, configuration."""

from html import escape

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.locks import locked
from asteroid_tfswa.page import PageSong, check_megabytes, write_page
from asteroid_tfswa.page.charts import box_plot, curve
from asteroid_tfswa.provenance import model_digest
from asteroid_tfswa.scores.card import CARD, read_card
from asteroid_tfswa.scores.runs import METRICS, song_value
from asteroid_tfswa.scores.tables import MEANINGS

# Logged numbers and their units.
CURVES = {"train_loss": "", "val_loss": "", "val_usdr": "dB", "val_csdr": "dB"}


def write_report(exp_dir, data, megabytes=200):
    """Write ``<exp_dir>/report/index.html``, which opens from disk in any browser.

    Args:
        exp_dir (Path): folder of a run after stage 2.
        data (PreparedData): the songs that were scored.
        megabytes (float): how large the page may become, about. Default 200.

    Returns:
        tuple[Path, list[str]]: of the page, and a line for each song that is not on it.

    Raises:
        InputError: if the run has not been scored, or on other data, or with another model.
    """
    check_megabytes(megabytes)
    songs, charts, failed = _read_scores(exp_dir, data)
    summary = f"{len(songs)} test songs of {data.name}. cSDR: {MEANINGS['cSDR']}."
    sections = [("Scores", charts), ("Training", _training(exp_dir / "logs"))]
    conf = exp_dir / "conf.yml"
    if conf.is_file():
        text = conf.read_text(encoding="utf-8", errors="replace")  # to look at
        sections.append(("Configuration", f"<pre>{escape(text)}</pre>"))
    with locked(exp_dir):
        page = write_page(
            exp_dir / "report",
            exp_dir.resolve().name,
            songs,
            summary,
            [section for section in sections if section[1]],
            megabytes,
        )
    return page, failed


def _read_scores(exp_dir, data):
    """Songs of the page, charts and songs without scores, of the run's score card."""
    file, model_file = exp_dir / "scores" / CARD, exp_dir / "best_model.pth"
    card = read_card(file)
    known = {song.name: song for song in data.splits["test"]}
    try:
        of_data, of_model = card["data"]["fingerprint"], card["model"]["sha256"]
        if of_data == data.fingerprint:
            songs = [_page_song(song, known[song["song"]], exp_dir, card) for song in card["songs"]]
            charts, failed = _charts(card), list(map(str, card["failed"]))
    except (ValueError, LookupError, TypeError, AttributeError) as err:
        raise InputError(f"{file}: is damaged; run stage 2 again") from err
    if of_data != data.fingerprint:
        raise InputError(f"{exp_dir}: was scored on other data than {data.name}; run stage 2 again")
    if model_file.is_file() and of_model != model_digest(model_file):
        raise InputError(f"{exp_dir}: was scored with an earlier model; run stage 2 again")
    return songs, charts, failed


def _page_song(scored, song, exp_dir, card):
    stems = scored["methods"]["model"]["stems"]
    scores = {f"{stem} cSDR": song_value(values, "cSDR") for stem, values in stems.items()}
    defined = [value for value in scores.values() if value is not None]
    scores = {"mean cSDR": sum(defined) / len(defined) if defined else None, **scores}
    segment, overlap = card["separation"]["segment"], card["separation"]["overlap"]
    return PageSong(
        song.name,
        song.mixture,
        {stem: exp_dir / "estimates" / song.name / f"{stem}.wav" for stem in stems},
        {stem: song.stems[stem] for stem in stems},
        scores,
        {stem: values["frames"]["SDR"] for stem, values in stems.items()},
        hop=segment * (1 - overlap),
        overlap=segment * overlap,
    )


def _charts(card):
    """Box plots over songs of every metric, the model beside baselines and oracles."""
    charts = []
    for metric in METRICS:
        groups = {}
        for song in card["songs"]:
            for method, found in song["methods"].items():
                for stem, values in found["stems"].items():
                    value = song_value(values, metric)
                    boxes = groups.setdefault(stem, {}).setdefault(method, [])
                    if value is not None:
                        boxes.append(value)
        charts.append(box_plot(f"{metric} of each song", "dB", groups))
    return "\n".join(filter(None, charts))


def _training(logs):
    """Curves of what training has logged, as far as it is known."""
    if not logs.is_dir():
        return ""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs)).Reload()
    tags = set(events.Tags()["scalars"])
    charts = [
        curve(tag, unit, [(event.step, event.value) for event in events.Scalars(tag)])
        for tag, unit in CURVES.items()
        if tag in tags
    ]
    return "\n".join(filter(None, charts))
