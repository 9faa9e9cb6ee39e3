"""Songs for pages: short, with a click at the same moment in every track."""

import numpy as np
import soundfile

from asteroid_tfswa.page import PageSong

RATE = 44100
CLICK = 1.0  # seconds
STEMS = ("vocals", "drums")


def make_song(folder, name="a song", seconds=3.0, references=True, **fields):
    """Write noise with a click in all tracks; the estimates leak into each other a little."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(name))
    shape = (len(STEMS), round(seconds * RATE), 2)
    waves = 0.02 * rng.standard_normal(shape)
    waves[:, round(CLICK * RATE) : round((CLICK + 0.01) * RATE)] = 0.4
    files = {"mixture": waves.sum(axis=0)}
    files |= {f"true_{stem}": wave for stem, wave in zip(STEMS, waves)}
    files |= {f"est_{s}": 0.9 * w + 0.1 * x for s, w, x in zip(STEMS, waves, waves[::-1])}
    for stem, wave in files.items():
        soundfile.write(folder / f"{stem}.wav", wave, RATE)
    if references:
        fields["references"] = {stem: folder / f"true_{stem}.wav" for stem in STEMS}
    estimates = {stem: folder / f"est_{stem}.wav" for stem in STEMS}
    return PageSong(name, folder / "mixture.wav", estimates, **fields)
