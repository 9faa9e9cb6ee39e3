"""Write a page: one HTML file beside the songs' tracks and pictures."""

import json
import os
import re
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np
from tqdm import tqdm

from asteroid_tfswa.arguments import number
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_folder
from asteroid_tfswa.page import checks, media, pictures

WORST = 10.0  # length of the worst moment of each stem in seconds
PICTURE_BYTES = 60_000  # size of a spectrogram, about
# By these, a folder is known for a page: a part of index.html, and the names of all files.
MARK = b'<script type="application/json" id="data">'
FILES = re.compile(
    r"index\.html|media|media/\d+-\d+\.(js|png)|(media/)?(\.DS_Store|Thumbs\.db|\._[^/]*)"
)


@dataclass
class PageSong:
    """A song of a page.

    Attributes:
        name (str): its title on the page.
        mixture (Path): audio file that soundfile or ffmpeg reads.
        estimates (dict[str, Path]): file of each separated stem.
        references (dict[str, Path]): file of each true stem; empty for a page without scores.
        scores (dict[str, float or None]): columns of the table by their titles, in dB.
        frames (dict[str, list]): SDR of each stem in each second, None where undefined.
        hop (float, optional): seconds from one separated chunk to the next, to check the joins.
        overlap (float): seconds that chunks share. Default 0.
        track (int, optional): the audio track of `mixture`, from 1. Defaults to the one that
            players choose.
    """

    name: str
    mixture: Path
    estimates: dict
    references: dict = field(default_factory=dict)
    scores: dict = field(default_factory=dict)
    frames: dict = field(default_factory=dict)
    hop: float | None = None
    overlap: float = 0.0
    track: int | None = None


def write_page(folder, title, songs, summary="", sections=(), megabytes=200):
    """Write a page with players that keep mixture, references, estimates and residuals in sync.

    Args:
        folder (str or Path): folder for `index.html` and `media/`; an existing page is replaced
            when the new one is complete.
        title (str): heading of the page.
        songs (list[PageSong]): the songs.
        summary (str): a sentence below the heading. Default none.
        sections (list[tuple[str, str]]): heading and HTML of each section after the songs; text in
            the HTML must be escaped.
        megabytes (float): approximate limit of the page's size. Songs that do not fit are shortened
            to their worst moments and their middle. Default 200.

    Returns:
        Path: the file `index.html`.

    Raises:
        InputError: if a file cannot be read, `folder` holds anything but a page, or less than a
            second of each song fits.
    """
    check_megabytes(megabytes)
    folder = Path(folder)
    check_page_folder(folder)
    n_tracks = max((1 + len(s.estimates) + len(s.references) for s in songs), default=1)
    room = megabytes * 1e6 / max(1, len(songs))
    room -= 3 * PICTURE_BYTES * max((len(s.references) for s in songs), default=0)
    seconds = room / n_tracks / media.BYTES_PER_SECOND
    if songs and seconds < media.SHORTEST_CLIP:
        raise InputError(
            f"page_megabytes: {megabytes:g} is less than a second of each of {len(songs)} songs; "
            "raise it"
        )
    # Where the folder is a link, the folder that it leads to is replaced.
    with atomic_folder(os.path.realpath(folder), replace=True) as tmp:
        (tmp / "media").mkdir()
        data = [
            _write_song(tmp, i, song, seconds)
            for i, song in enumerate(tqdm(songs, desc="page", unit="song", disable=None))
        ]
        html = _html(title, summary, songs, data, sections)
        # File names need not be UTF-8.
        (tmp / "index.html").write_text(html, encoding="utf-8", errors="replace")
    return folder / "index.html"


def check_megabytes(megabytes):
    """Raise InputError for an impossible size of a page."""
    number("page_megabytes", megabytes, 0, 100_000)


def check_page_folder(folder):
    """Check that a page may be written to a folder: it is missing, empty, or such a page.

    Args:
        folder (Path): the folder.

    Raises:
        InputError: if it holds other files, which replacing it would delete.
    """
    if not folder.exists():
        return
    index = folder / "index.html"
    is_page = index.is_file() and MARK in index.read_bytes()
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    others = [name for name in names if not (is_page and FILES.fullmatch(name))]
    if others or not folder.is_dir():
        found = f"holds files that are not of a page ({min(others)})" if others else "is a file"
        raise InputError(f"{folder}: {found}; move it away, or choose another folder")


def _write_song(folder, number, song, seconds):
    """Write the tracks and pictures of a song; return its data for the page's script."""
    duration = checks.duration(song.mixture, song.track)
    worst = {stem: _worst_moment(frames) for stem, frames in song.frames.items()}
    worst = {stem: moment for stem, moment in worst.items() if moment}
    clips = media.choose_clips(duration, [m[:2] for m in worst.values()], seconds)
    files = [(None, "mixture", song.mixture)]
    for kind, stems in (("reference", song.references), ("estimate", song.estimates)):
        files += [(stem, kind, path) for stem, path in stems.items()]
    tracks, waves = [], {}
    for i, (stem, kind, path) in enumerate(files):
        track = song.track if kind == "mixture" else None
        wave, rate = media.read_clips(path, clips, track)
        tracks.append({"key": f"{number}/{i}", "file": f"media/{number}-{i}.js"})
        tracks[-1] |= {"stem": stem, "kind": kind}
        media.write_track(folder / tracks[-1]["file"], tracks[-1]["key"], wave, rate)
        if song.references:
            waves[stem, kind] = wave
    drawn = []
    for stem in song.references:
        reference, estimate = waves[stem, "reference"], waves[stem, "estimate"]
        kinds = {"reference": reference, "estimate": estimate, "difference": reference - estimate}
        powers = {kind: pictures.spectrogram(wave, rate) for kind, wave in kinds.items()}
        loudest = max(power.max() for power in powers.values())
        for kind, power in powers.items():
            name = f"media/{number}-{len(drawn)}.png"
            pictures.write_picture(folder / name, power, loudest)
            drawn.append({"stem": stem, "kind": kind, "file": name})
    moments = []
    for stem, (start, length, sdr) in worst.items():
        position = media.position_on_page(clips, start)
        if position is not None:
            moments.append({"stem": stem, "start": start, "seconds": length, "sdr": sdr})
            moments[-1]["position"] = position
    return {
        "name": song.name,
        "seconds": duration,
        "length": sum(clip.seconds for clip in clips),
        "clips": [{"start": clip.start, "seconds": clip.seconds} for clip in clips],
        "hasReferences": bool(song.references),
        "stems": list(song.estimates),
        "tracks": tracks,
        "pictures": drawn,
        "worst": moments,
        "checks": checks.check_song(song),
    }


def _worst_moment(frames):
    """Begin, length and mean SDR of the worst seconds, among those with the most defined frames."""
    n = min(len(frames), int(WORST))
    values = np.array([np.nan if v is None else v for v in frames], dtype=float)
    if n == 0 or np.isnan(values).all():
        return None
    windows = np.lib.stride_tricks.sliding_window_view(values, n)
    defined = (~np.isnan(windows)).sum(axis=1)
    means = np.where(defined, np.nansum(windows, axis=1) / np.maximum(defined, 1), np.inf)
    means[defined < defined.max()] = np.inf
    start = int(means.argmin())
    return float(start), float(n), float(means[start])


def _html(title, summary, songs, data, sections):
    static = resources.files("asteroid_tfswa.page") / "static"
    # Only "<" could end a script element early.
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    return Template((static / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        summary=escape(summary),
        songs=_table(songs, data),
        sections="\n".join(
            f"<section><h2>{escape(heading)}</h2>\n{html}\n</section>" for heading, html in sections
        ),
        css=(static / "page.css").read_text(encoding="utf-8"),
        js=(static / "page.js").read_text(encoding="utf-8"),
        data=text,
    )


def _table(songs, data):
    columns = list(dict.fromkeys(column for song in songs for column in song.scores))
    heads = "".join(
        f'<th scope="col"><button type="button">{escape(column)}</button></th>'
        for column in ("Song", "Length (s)", *columns)
    )
    rows = []
    for i, (song, known) in enumerate(zip(songs, data)):
        cells = [
            f'<td><button type="button" class="open" data-song="{i}">'
            f"{escape(song.name)}</button></td>",
            f'<td data-value="{known["seconds"]:.3f}">{known["seconds"]:.0f}</td>',
        ]
        for column in columns:
            value = song.scores.get(column)
            is_number = value is not None and np.isfinite(value)
            shown = f"{value:.2f}" if is_number else "-"
            cells.append(f'<td data-value="{value if is_number else ""}">{shown}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
