"""What a model file says about itself."""

import json
import math

from asteroid_tfswa.errors import InputError, one_line
from asteroid_tfswa.models.base import build_model
from asteroid_tfswa.models.loading import find_model_file, load_model_file
from asteroid_tfswa.provenance import model_digest

METRICS = ("SDR", "SIR", "ISR", "SAR", "uSDR")
MAX_LENGTH = 2000  # of a line
MAX_VALUES = 10_000  # in what a file says; forged ones can unfold without end


def describe(model_file):
    """Read all that a model file says, and the test scores that belong to it.

    Args:
        model_file (str or Path): what `TFSWAUNet.from_pretrained` takes.

    Returns:
        dict: of plain values: "file", "model_name", "sources", "sample_rate", "in_channels",
        "n_parameters", "weights" (types of the weights), "model_args", and, None where the file
        does not say, "dataset", "licenses", "metrics" (validation), "scores" (test, see
        `read_test_scores`), "training_config", "recipe", "license_note", "software_versions".

    Raises:
        InputError: if the file is missing, damaged, no model, or a model of another class, or if
            something that it says has another type than it must have.
    """
    file = find_model_file(model_file)
    package = load_model_file(file)
    model = build_model(package, file)
    said = _Said(package, file)
    infos = _Said(said("infos", dict) or {}, file)  # where Asteroid's `save_publishable` adds
    types = {str(w.dtype).removeprefix("torch.") for w in package["state_dict"].values()}
    return {
        "file": str(file),
        "model_name": type(model).__name__,
        "sources": list(model.sources),
        "sample_rate": model.sample_rate,
        "in_channels": model.in_channels,
        "n_parameters": sum(p.numel() for p in model.parameters()),
        "weights": sorted(name for name in types if "float" in name),
        "model_args": model.get_model_args(),
        "dataset": said("dataset", str),
        "licenses": said("licenses", list, are_licenses),
        "metrics": infos("final_metrics", dict) or said("metrics", dict),
        "scores": said("scores", dict, _are_scores) or read_test_scores(file),
        "training_config": infos("training_config", dict) or said("training_config", dict),
        "recipe": infos("recipe_name", str),
        "license_note": infos("license_note", str),
        "software_versions": infos("software_versions", dict),
    }


class _Said:
    """Reads entries of a dictionary that anybody may have written.

    Args:
        entries (dict): what the file says.
        file (str or Path): its name for messages.
    """

    def __init__(self, entries, file):
        self.entries, self.file = entries, file

    def __call__(self, key, kind, is_right=lambda value: True):
        """Return the plain value of a key, None if there is none.

        Args:
            key (str): the key.
            kind (type): which type its value must have.
            is_right (callable): tells of the plain value whether what it holds is right, too.

        Raises:
            InputError: if the value is of another form.
        """
        if self.entries.get(key) is None:
            return None
        try:
            value = plain(self.entries[key])
        except RecursionError:
            value = None
        if not isinstance(value, kind) or not is_right(value):
            raise InputError(
                f"{self.file} cannot be described: its {key!r} is not of the form that the recipe "
                "and Asteroid write; it is damaged or changed by other programs"
            )
        return value


def plain(value, left=None):
    """Make what a model file says plain values that JSON can hold.

    Args:
        value (object): any value. Numbers that are not finite become None.
        left (list of int, optional): how many values may follow. Default: MAX_VALUES.

    Returns:
        object: of dictionaries, lists, strings, numbers and None.

    Raises:
        RecursionError: if there are more values, or they go round.
    """
    left = [MAX_VALUES] if left is None else left
    left[0] -= 1
    if left[0] < 0:
        raise RecursionError
    if isinstance(value, dict):
        return {str(plain(k, left)): plain(v, left) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, left) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return f"a {type(value).__name__}"


def are_licenses(notices):
    """Whether a list holds licence notices, see `license_notice`."""
    return all(
        isinstance(notice, dict)
        and all(isinstance(notice.get(k), str) for k in ("license", "title"))
        for notice in notices
    )


def _are_scores(scores):
    """Whether they are of the form that `read_test_scores` gives."""
    try:
        medians = [m["median"] for stem in scores["stems"].values() for m in stem.values()]
        numbers = [scores["n_songs"], *(m for m in medians if m is not None)]
    except (KeyError, TypeError, AttributeError):
        return False
    return all(isinstance(n, (int, float)) for n in numbers) and len(scores["stems"]) > 0


def read_test_scores(model_file):
    """Read the scores that the recipe's evaluation left beside a model file.

    Args:
        model_file (Path): ``best_model.pth`` in the folder of its training run.

    Returns:
        dict or None: ``{"n_songs", "stems": {stem: {metric: {"median", "mean"}}}}`` in dB, as in
        `asteroid_tfswa.scores.tables.summarise`; None if there are none, they are damaged or they
        are another model's.
    """
    file = model_file.parent / "scores" / "score_card.json"
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
        summary = card["summary"]
        scores = {"n_songs": summary["n_songs"], "stems": summary["scores"]["model"]}
        # Scores stay where they are when training continues and replaces the model.
        is_current = card["model"]["sha256"] == model_digest(model_file)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return scores if is_current and _are_scores(scores) else None


def format_description(about):
    """Write a description for reading.

    Args:
        about (dict): from `describe`.

    Returns:
        str: lines of a name and a value each, of printable characters.
    """
    rows = [
        ("model", f"{about['model_name']} ({about['file']})"),
        ("sources", ", ".join(about["sources"])),
        ("audio", f"{about['in_channels']} channels at {about['sample_rate']:g} Hz"),
        ("parameters", f"{about['n_parameters']:,} ({', '.join(about['weights'])})"),
        ("trained on", about["dataset"]),
    ]
    rows += [("licence", f"{n['license']} ({n['title']})") for n in about["licenses"] or []]
    rows += [("licence", about["license_note"]), ("recipe", about["recipe"])]
    rows += [("validation", _pairs(about["metrics"])), *_score_rows(about["scores"])]
    rows += [("made with", _pairs(about["software_versions"]))]
    rows += [("network", f"{name}: {value}") for name, value in about["model_args"].items()]

    lines, before = [], None
    for name, value in rows:
        if value is not None:
            shown = value if len(value) <= MAX_LENGTH else value[:MAX_LENGTH] + "..."
            lines.append(f"{name if name != before else '':12}{one_line(shown)}")
            before = name
    if about["dataset"] is None:
        lines.append("The file does not say what the model was trained on, nor its licence.")
    return "\n".join(lines) + "\n"


def _pairs(values):
    if values is None:
        return None
    shown = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in values.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _score_rows(scores):
    """Medians over songs; the heading says which SDR is which."""
    if scores is None:
        return []
    head = f"{scores['n_songs']} songs, median in dB (uSDR: whole songs; others: museval's frames)"
    width = max(map(len, scores["stems"]))
    rows = [("test", head), ("test", " " * width + "".join(f"{name:>8}" for name in METRICS))]
    for stem, metrics in scores["stems"].items():
        values = [metrics.get(name, {}).get("median") for name in METRICS]
        cells = [f"{'-' if value is None else format(value, '.2f'):>8}" for value in values]
        rows.append(("test", f"{stem:{width}}" + "".join(cells)))
    return rows
