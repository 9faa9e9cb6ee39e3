"""A tiny folder of sources to render songs from: synthetic notes, hits, phrases and a drum MIDI."""

import csv

import mido
import numpy as np
import soundfile

RATE = 44100
COLUMNS = "path role kind instrument piece velocity round_robin key bpm seconds channels licence"
PHRASE_HZ = 220.0  # of a phrase in A minor


def hertz(pitch):
    return 440 * 2 ** ((pitch - 69) / 12)


def tone(frequency, seconds, level=0.5, decay=1.0):
    """A decaying tone of ten harmonics, mono."""
    time = np.arange(int(seconds * RATE)) / RATE
    harmonics = sum(np.sin(2 * np.pi * k * frequency * time) / k**1.5 for k in range(1, 11))
    return level * harmonics / 2 * np.exp(-time / decay) * np.minimum(1, time * 200)


def noise(seconds, seed):
    decay = np.exp(-np.arange(int(seconds * RATE)) / (0.05 * RATE))
    return 0.4 * np.random.default_rng(seed).uniform(-1, 1, (len(decay), 2)) * decay[:, None]


def make_sources(folder, phrase_level=1.0):
    """Write the files and their index; returns the folder."""
    rows = []

    def put(path, audio, role, kind, instrument, piece="", velocity="", robin="", key="", bpm=""):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if audio is not None:
            soundfile.write(folder / path, audio, RATE)
        row = [path, role, kind, instrument, piece, velocity, robin, key, bpm, "", "", "CC0-1.0"]
        rows.append(row)

    for pitch in (28, 34, 40, 46):
        for velocity in (1, 2):
            audio = tone(hertz(pitch), 1.0, 0.25 * velocity)
            put(f"bass/b/{pitch}_v{velocity}.flac", audio, "bass", "note", "b", pitch, velocity, 1)
    for pitch in range(48, 85, 6):
        audio = tone(hertz(pitch), 1.0)
        put(f"other/piano/{pitch}.flac", audio, "other", "note", "piano", pitch, 1, 1)
    for piece in ("kick", "snare", "hihat_closed", "hihat_open", "tom1", "crash_left", "ride"):
        for velocity in (1, 2):
            for robin in (1, 2):
                path = f"drums/kit/{piece}_v{velocity}_r{robin}.flac"
                audio = noise(0.2, len(rows)) * velocity / 2
                if piece == "kick":
                    audio = tone(55, 0.2, 0.45 * velocity, 0.08)
                put(path, audio, "drums", "one-shot", "kit", piece, velocity, robin)
    for number, seconds in enumerate((0.8, 1.2, 2.0)):
        path, audio = f"vocals/a/{number}.flac", tone(PHRASE_HZ, seconds, phrase_level, 5)
        put(path, audio, "vocals", "phrase", "a", number, key="A minor", bpm="120")
    put("drums/midi/beat.mid", None, "midi", "loop", "rock", "beat 4-4", bpm="120")
    put("drums/midi/fill.mid", None, "midi", "loop", "rock", "fill 4-4", bpm="120")
    for name in ("beat", "fill"):
        drum_midi(n_bars=4 if name == "beat" else 1).save(folder / f"drums/midi/{name}.mid")
    with open(folder / "index.tsv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(COLUMNS.split())
        writer.writerows(rows)
    return folder


def drum_midi(n_bars):
    """Kick on 1 and 3, snare on 2 and 4, hi-hat on every eighth."""
    midi = mido.MidiFile(ticks_per_beat=480)
    events = []
    for beat in range(4 * n_bars):
        events.append((480 * beat, 38 if beat % 2 else 36, 110))
        events += [(480 * beat, 42, 90), (480 * beat + 240, 42, 50)]
    track, last = mido.MidiTrack(), 0
    for ticks, note, velocity in sorted(events):
        message = mido.Message("note_on", note=note, velocity=velocity, channel=9)
        track.append(message.copy(time=ticks - last))
        last = ticks
    midi.tracks.append(track)
    return midi
