"""What a model file says about itself."""

import hashlib
import json
from pathlib import Path

import yaml

from asteroid_tfswa.models.base import MusicModel, load_model_file

METRICS = ("SDR", "SIR", "ISR", "SAR", "uSDR")


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
        InputError: if the file is missing, damaged, no model, or a model of another class.
    """
    model = MusicModel.from_pretrained(model_file)
    package = load_model_file(model_file)
    infos = package.get("infos") or {}  # where Asteroid's `save_publishable` adds what it knows
    types = {str(w.dtype).removeprefix("torch.") for w in package["state_dict"].values()}
    return {
        "file": str(model_file),
        "model_name": package["model_name"],
        "sources": list(model.sources),
        "sample_rate": model.sample_rate,
        "in_channels": model.in_channels,
        "n_parameters": sum(p.numel() for p in model.parameters()),
        "weights": sorted(name for name in types if "float" in name),
        "model_args": package["model_args"],
        "dataset": package.get("dataset"),
        "licenses": package.get("licenses"),
        "metrics": infos.get("final_metrics") or package.get("metrics"),
        "scores": package.get("scores") or read_test_scores(model_file),
        "training_config": infos.get("training_config") or package.get("training_config"),
        "recipe": infos.get("recipe_name"),
        "license_note": infos.get("license_note"),
        "software_versions": infos.get("software_versions"),
    }


def read_test_scores(model_file):
    """Read the scores that the recipe's evaluation left beside a model file.

    Args:
        model_file (str or Path): ``best_model.pth`` in the folder of its training.

    Returns:
        dict or None: ``{"n_songs", "stems": {stem: {metric: {"median", "mean"}}}}`` in dB, as in
        `asteroid_tfswa.scores.summarise`; None if there are none, or another model's.
    """
    model_file = Path(model_file)
    record = model_file.parent / "estimates" / "made_with.yml"
    summary = model_file.parent / "scores" / "summary.json"
    if not (record.is_file() and summary.is_file() and model_file.is_file()):
        return None
    # Scores stay where they are when the training goes on and replaces the model.
    made_with = yaml.safe_load(record.read_text())
    if made_with["model"] != hashlib.sha256(model_file.read_bytes()).hexdigest():
        return None
    summary = json.loads(summary.read_text())
    return {"n_songs": summary["n_songs"], "stems": summary["scores"]["model"]}


def format_description(about):
    """Write a description for reading.

    Args:
        about (dict): from `describe`.

    Returns:
        str: lines of a name and a value each.
    """
    rows = [
        ("model", f"{about['model_name']} ({about['file']})"),
        ("sources", ", ".join(about["sources"])),
        ("audio", f"{about['in_channels']} channels at {about['sample_rate']:g} Hz"),
        ("parameters", f"{about['n_parameters']:,} ({', '.join(about['weights'])})"),
        ("trained on", about["dataset"]),
    ]
    rows += [("licence", _license(notice)) for notice in about["licenses"] or []]
    rows += [("licence", about["license_note"]), ("recipe", about["recipe"])]
    rows += [("validation", _pairs(about["metrics"])), *_score_rows(about["scores"])]
    rows += [("made with", _pairs(about["software_versions"]))]
    rows += [("network", f"{name}: {value}") for name, value in about["model_args"].items()]

    lines, before = [], None
    for name, value in rows:
        if value is not None:
            lines.append(f"{name if name != before else '':12}{value}")
            before = name
    if about["dataset"] is None:
        lines.append("The file does not say what the model was trained on, nor its licence.")
    return "\n".join(lines) + "\n"


def _license(notice):
    return f"{notice['license']} ({notice['title']})"


def _pairs(values):
    if values is None:
        return None
    shown = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in values.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _score_rows(scores):
    """Medians over songs; what the two kinds of SDR are is said beside them."""
    if scores is None:
        return []
    head = f"{scores['n_songs']} songs, median in dB (uSDR: whole songs; others: museval's frames)"
    width = max(map(len, scores["stems"]))
    rows = [("test", head), ("test", " " * width + "".join(f"{name:>8}" for name in METRICS))]
    for stem, metrics in scores["stems"].items():
        values = [metrics[name]["median"] for name in METRICS]
        cells = [f"{'-' if value is None else format(value, '.2f'):>8}" for value in values]
        rows.append(("test", f"{stem:{width}}" + "".join(cells)))
    return rows
