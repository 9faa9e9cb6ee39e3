"""Make the index of downloaded sources from the names and maps of their files."""

import re

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.freestems.sfz import read_sfz

# The beginnings of Sonic Pi's names, and the pieces of a kit that they are.
ONE_SHOTS = {
    "bd_": "kick",
    "drum_heavy_kick": "kick",
    "drum_bass": "kick",
    "elec_soft_kick": "kick",
}
ONE_SHOTS |= {"elec_hollow_kick": "kick", "sn_": "snare", "drum_snare": "snare"}
ONE_SHOTS |= {f"elec_{kind}_snare": "snare" for kind in ("hi", "lo", "mid", "filt")}
ONE_SHOTS |= {"elec_snare": "snare", "hat_": "hihat_closed", "drum_cymbal_closed": "hihat_closed"}
ONE_SHOTS |= {"drum_cymbal_pedal": "hihat_pedal", "drum_cymbal_open": "hihat_open"}
ONE_SHOTS |= {"drum_cymbal": "crash", "drum_splash": "crash", "ride_": "ride", "drum_tom": "tom"}
ONE_SHOTS |= {"drum_cowbell": "cowbell", "perc_snap": "percussion", "tabla_": "percussion"}
KEY = r"([A-G](?:b|sharp)?) (minor|major)"
SUNG = re.compile(rf"{KEY} - (\d+) BPM|(\d+) BPM - {KEY}", re.I)
GROOVE = re.compile(r"\d+_(.+)_(\d+)_(beat|fill)_(\d+-\d+)\.mid")


def rows_of(archive, folder):
    """Describe the files of an unpacked archive.

    Args:
        archive (dict): its entry of archives.yml.
        folder (Path): where it is unpacked.

    Returns:
        list[dict]: rows of the index, whose paths are relative to the folder that `folder` is in.

    Raises:
        InputError: none of its files is of the kind that it should hold.
    """
    rows = RULES[archive["index"]](archive, folder)
    if not rows:
        raise InputError(f"{folder}: holds nothing of what {archive['name']} should hold")
    shared = {"licence": archive["licence"], "source": archive["author"]}
    for row in rows:
        row["path"] = row["path"].relative_to(folder.parent).as_posix()
        row.update(shared)
    return rows


def _phrases(archive, folder):
    """Producer Space: the folder is a voice; names of sung phrases state key and tempo."""
    rows = []
    for path in sorted(folder.glob("*/*.wav")):
        voice = path.parent.name
        if voice.endswith("_vocal"):  # whole songs, of which the phrases are parts
            continue
        row = {"path": path, "role": "vocals", "kind": "phrase", "instrument": voice}
        found = SUNG.search(path.stem)
        if found:
            name, mode, bpm = found[1] or found[5], found[2] or found[6], found[3] or found[4]
            name = name[0].upper() + name[1:].replace("sharp", "#")
            row |= {"key": f"{name} {mode.lower()}", "bpm": bpm}
        rows.append(row)
    return rows


def _singers(archive, folder):
    """VocalSet: a folder for each singer, whose exercises and songs are sung without a tempo."""
    rows = []
    for path in sorted(folder.rglob("*.wav")):
        singer = path.relative_to(folder).parts[0]
        rows.append({"path": path, "role": "vocals", "kind": "sung", "instrument": singer})
    return rows


def _grooves(archive, folder):
    """Groove MIDI: names state style, tempo, and whether it is a beat or a fill."""
    rows = []
    for path in sorted(folder.rglob("*.mid")):
        found = GROOVE.fullmatch(path.name)
        if found:
            style, bpm, kind, meter = found.groups()
            rows.append({"path": path, "role": "midi", "kind": "loop", "bpm": bpm})
            rows[-1] |= {"instrument": style.replace("-", "/", 1), "piece": f"{kind} {meter}"}
    return rows


def _one_shots(archive, folder):
    """Sonic Pi: names begin with the kind of drum."""
    rows = []
    for path in sorted(folder.glob("*.flac")):
        fitting = [start for start in ONE_SHOTS if path.name.startswith(start)]
        if fitting and not path.stem.endswith("roll"):
            piece = ONE_SHOTS[max(fitting, key=len)]
            row = {"path": path, "role": "drums", "kind": "one-shot", "piece": piece}
            rows.append(row | {"instrument": archive["name"]})
    return rows


def _notes(archive, folder):
    """Sampled instruments, whose maps are SFZ files."""
    rows = []
    for instrument, name in archive["maps"].items():
        samples = folder / archive["samples"] if "samples" in archive else None
        wanted = folder / archive["only"] if "only" in archive else folder
        regions = read_sfz(folder / name, samples)
        regions = [region for region in regions if region.path.is_relative_to(wanted)]
        layers = {}  # of each note, softest first
        for region in regions:
            layers.setdefault(region.pitch, set()).add(region.velocity)
        robins = {}
        for region in regions:
            key = (region.pitch, region.velocity)
            robins[key] = robins.get(key, 0) + 1
            row = {"path": region.path, "role": archive["role"], "kind": "note"}
            row |= {"instrument": instrument, "round_robin": robins[key]}
            row["piece"] = region.pitch + archive.get("semitones", 0)
            row["velocity"] = 1 + sorted(layers[region.pitch]).index(region.velocity)
            rows.append(row)
    return rows


RULES = {"phrases": _phrases, "singers": _singers, "grooves": _grooves}
RULES |= {"one_shots": _one_shots, "notes": _notes}
