"""A folder of a trained model that is ready for a hub: what Asteroid's publishing tools take."""

import io
import json
import re

import torch
import yaml

from asteroid_tfswa.data.musdb18 import license_notice
from asteroid_tfswa.errors import InputError, one_line
from asteroid_tfswa.files import atomic_folder, atomic_write
from asteroid_tfswa.models.card import METRICS, describe
from asteroid_tfswa.models.loading import find_model_file, load_model_file

RECIPE = "musdb18/TFSWAUNet"
LONGEST_NAME = 96  # of a model on the Hugging Face hub
CARD = """---
{front}---

# {name}

Music source separation with {model_name}, trained by {uploader} on {dataset} with the recipe
{recipe} of asteroid-tfswa. It separates {channels} music at {sample_rate:g} Hz into {sources}.

```python
from asteroid_tfswa import TFSWAUNet

model = TFSWAUNet.from_pretrained("{name}")
model.separate("song.wav", output_dir="stems", resample=True)
```

## Results

Medians over {n_songs} test songs in dB. uSDR is one value for a whole song; the others are
museval's (BSS Eval v4), medians over frames of one second.

{table}

## Training

```yaml
{config}```

## Licence

The model is a derivative of {data_terms}.
It is licensed under {license} by {uploader}{affiliation}.

## References

Yao, Su, Yang, Zhang, Wu, "TFSWA-ResUNet: music source separation with time-frequency sequence and
shifted window attention-based ResUNet", EURASIP Journal on Advances in Signal Processing 2025:39,
https://doi.org/10.1186/s13634-025-01249-0
"""


def publish(model_file, out, uploader, username, affiliation="", license=None, **data_terms):
    """Make a folder of a trained model that is ready for a hub.

    It has ``model.pth`` for Zenodo (``asteroid-upload``), the same as ``pytorch_model.bin`` for the
    Hugging Face hub, ``README.md``, the model card with the results, ``final_metrics.json``,
    ``recipe_name.txt`` and, where a licence notice names authors, ``NOTICE``.

    Args:
        model_file (str or Path): the folder of a training run, or a model file with test scores.
        out (Path): the folder to make, which must not exist.
        uploader (str): full name of who publishes the model.
        username (str): name of their account on the hub.
        affiliation (str): of the uploader. Default none.
        license (str, optional): licence of the model, by the hub's name for it. Defaults to
            "cc-by-sa-4.0", or "cc-by-nc-sa-4.0" unless the terms of the data, and of the model that
            training began from, are known to permit commercial use.
        **data_terms: fields of the data set's licence notice to replace, see `license_notice`.

    Returns:
        str: the model's name on the hub, ``username/model``.

    Raises:
        InputError: if the model cannot be read, says nothing of its data or has no test scores, a
            name cannot be used, or `out` exists.
        OSError: if the folder cannot be written.
    """
    if out.exists():
        raise InputError(f"{out} exists; remove it, or give another folder")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}", username, re.ASCII):
        raise InputError(f"username must be the name of an account on a hub: got {username!r}")
    file = find_model_file(model_file)
    about, package = describe(file), load_model_file(file)
    if about["scores"] is None:
        raise InputError(f"{file} has no test scores: run stage 2 of the recipe (run.sh --stage 2)")
    if about["dataset"] is None or not about["licenses"]:
        raise InputError(
            f"{file} does not say what it was trained on; publish a model of the recipe"
        )
    licenses, license, name = _terms(about, username, license, **data_terms)
    metrics = _flat_metrics(about)
    infos = dict(package.get("infos") or {})
    infos |= {"training_config": about["training_config"], "final_metrics": metrics}
    infos |= {"recipe_name": RECIPE, "uploader": uploader, "affiliation": affiliation or "Unknown"}
    package |= {"infos": infos, "licenses": licenses, "task": "music_separation"}
    package["scores"] = about["scores"]
    model = io.BytesIO()
    torch.save(package, model)
    card = _card(about, name, licenses, license, uploader, affiliation)
    with atomic_folder(out) as folder:
        for model_name in ("model.pth", "pytorch_model.bin"):
            (folder / model_name).write_bytes(model.getvalue())
        (folder / "final_metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
        (folder / "recipe_name.txt").write_text(RECIPE + "\n")
        (folder / "README.md").write_text(card, encoding="utf-8")
        if authors := _authors(licenses):
            (folder / "NOTICE").write_text(authors, encoding="utf-8")
    return name


def write_draft_card(exp_dir):
    """Write `model_card.md` of a training run with test scores: `publish` puts names into it.

    Beside it goes ``NOTICE``, where a licence notice names authors.

    Nothing is written for a model that does not say what it was trained on.

    Args:
        exp_dir (Path): the folder of the run.

    Raises:
        InputError: if the model cannot be read.
        OSError: if the card cannot be written.
    """
    about = describe(exp_dir)
    if about["scores"] is None or about["dataset"] is None or not about["licenses"]:
        return
    licenses, license, name = _terms(about, "YOUR_ACCOUNT", None)
    with atomic_write(exp_dir / "model_card.md") as tmp:
        card = _card(about, name, licenses, license, "YOUR NAME", "")
        tmp.write_text(card, encoding="utf-8")
    if authors := _authors(licenses):
        with atomic_write(exp_dir / "NOTICE") as tmp:
            tmp.write_text(authors, encoding="utf-8")


def _terms(about, username, license, **data_terms):
    """Licence notices of the data, licence of the model and its name on a hub."""
    stored = about["licenses"][0]
    kept = {k: v for k, v in stored.items() if k == "attribution"}
    notice = license_notice(stored["title"], stored["license"], **kept, **data_terms)
    licenses = [notice, *about["licenses"][1:]]
    if license is None:
        restricted = any(n.get("non_commercial", True) for n in licenses)
        license = "cc-by-nc-sa-4.0" if restricted else "cc-by-sa-4.0"
    slug = re.sub(r"[^\w.]+", "-", f"{about['model_name']}_{about['dataset']}", flags=re.ASCII)
    name = slug.strip("-.")[:LONGEST_NAME].rstrip("-.")
    return licenses, license, f"{username}/{name}"


def _flat_metrics(about):
    """Medians by names like "SDR_vocals"."""
    values = {
        f"{metric}_{stem}": score[metric]["median"]
        for stem, score in about["scores"]["stems"].items()
        for metric in METRICS
        if metric in score
    }
    return {name: value for name, value in values.items() if value is not None}


def _card(about, name, licenses, license, uploader, affiliation):
    front = {
        "license": license,
        "tags": ["asteroid", "audio-to-audio", "music-source-separation", about["model_name"]],
        "library_name": "asteroid",
        "pipeline_tag": "audio-to-audio",
    }
    terms = _data_terms(licenses[0])
    for earlier in licenses[1:]:
        terms += f"; through the model that its training began from, of {_data_terms(earlier)}"
    if _authors(licenses):
        terms += "; the file NOTICE names the authors"
    return CARD.format(
        front=yaml.safe_dump(front, sort_keys=False),
        name=name,
        model_name=about["model_name"],
        uploader=one_line(uploader),
        affiliation=f" ({one_line(affiliation)})" if affiliation else "",
        dataset=one_line(about["dataset"]),
        recipe=RECIPE,
        channels={1: "mono", 2: "stereo"}.get(about["in_channels"], "multichannel"),
        sample_rate=about["sample_rate"],
        sources=", ".join(about["sources"]),
        n_songs=about["scores"]["n_songs"],
        table=_table(about["scores"]["stems"]),
        config=yaml.safe_dump(about["training_config"], sort_keys=False, allow_unicode=True),
        data_terms=terms,
        license=one_line(license),
    )


def _authors(licenses):
    """The texts that name authors, each once."""
    texts = (n.get("attribution") for n in licenses)
    return "\n".join(dict.fromkeys(t for t in texts if isinstance(t, str) and t))


def _data_terms(notice):
    known = {"title_link": "", "author": "", "author_link": "", "license_link": "", **notice}
    terms = _link(notice["title"], known["title_link"])
    if known["author"]:
        terms += f" by {_link(known['author'], known['author_link'])}"
    terms += f", used under: {_link(notice['license'], known['license_link'])}"
    return terms + " (not known to permit commercial use)" * known.get("non_commercial", True)


def _table(stems):
    """Scores as a Markdown table."""
    rows = [["stem", *METRICS], ["---", *["---:"] * len(METRICS)]]
    for stem, score in stems.items():
        medians = [score.get(metric, {}).get("median") for metric in METRICS]
        rows.append([stem, *("-" if value is None else f"{value:.2f}" for value in medians)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _link(text, address):
    text = one_line(text)
    return f"[{text}]({one_line(address)})" if address else text
