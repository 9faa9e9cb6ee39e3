"""Songs rendered from free sounds: layout, sums, determinism, key and tempo, and their errors."""

import json
import re
import runpy
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asteroid_tfswa.data.prepare import prepare
from asteroid_tfswa.data.songs import read_prepared
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.freestems import archives, grooves, parts
from asteroid_tfswa.freestems import effects as fx
from asteroid_tfswa.freestems.link import MARK, link_songs, plan_links
from asteroid_tfswa.freestems.made_voice import MadeVoice
from asteroid_tfswa.freestems.plan import STEMS, STYLES, make_plan, near, voiced
from asteroid_tfswa.freestems.render import render_song
from asteroid_tfswa.freestems.sampler import Sampler
from asteroid_tfswa.freestems.songs import make_songs
from asteroid_tfswa.freestems.sources import Sources
from asteroid_tfswa.freestems.vocals import sing
from asteroid_tfswa.freestems.voice import choose_voice
from tests.freestems.free_sounds import PHRASE_HZ, RATE, make_sources, tone

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared/data/sources"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def sources(folder):
    return Sources(folder)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, folder):
    """What stage 0 of the recipe leaves: rendered songs, links to them, the prepared set."""
    place = tmp_path_factory.mktemp("rendered")
    songs = make_songs(folder, place / "rendered", 2, 1, seconds=8.0)
    link_songs(place / "songs", songs, {"train": 2, "test": 1})
    prepare(place / "songs", place / "prepared", list(STEMS))
    return place


def run_recipe(*options):
    """Run the recipe with a Python that only says what it is called with."""
    command = ["bash", str(ROOT / "egs/freestems/run.sh"), "--python_path", "/bin/echo", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def read(song, stem):
    return soundfile.read(song / f"{stem}.wav", dtype="int16")[0].astype(int)


def pitch_of(audio):
    """MIDI number of a tone or voice (channels, samples), by the autocorrelation."""
    lags = np.fft.irfft(np.abs(np.fft.rfft(audio[0], 2 * audio.shape[1])) ** 2)
    shortest, longest = RATE // 1000, RATE // 50
    return 69 + 12 * np.log2(RATE / (shortest + lags[shortest:longest].argmax()) / 440)


def test_rendered_songs_are_prepared_and_their_mixture_is_the_sum_of_the_stems(rendered):
    found = sorted(path.parent.name for path in rendered.glob("prepared/*/*/mixture.wav"))
    assert found == ["song_00000", "song_00001", "song_1000000"]
    about = read_prepared(rendered / "prepared")
    assert (about.name, about.license) == ("freestems", "rendered from sounds under CC0-1.0")
    for song in rendered.glob("rendered/*/song_*"):
        stems = {stem: read(song, stem) for stem in STEMS}
        assert all(np.abs(audio).max() > 300 for audio in stems.values())
        total = sum(stems.values())
        assert total.shape[1] == 2 and 6.5 < len(total) / RATE < 16.1  # four bars and more
        assert 5000 < np.abs(total).max() <= 32767
        prepared = next(rendered.glob(f"prepared/*/{song.name}/mixture.wav"))
        mixture = soundfile.read(prepared)[0]
        np.testing.assert_allclose(mixture, total / 32768, atol=1e-6)


def test_a_song_follows_from_its_number_and_broken_songs_are_rendered_again(
    rendered, folder, sources, tmp_path
):
    songs = rendered / "rendered"
    before = {path: path.read_bytes() for path in songs.rglob("*.wav")}
    times = {path: path.stat().st_mtime_ns for path in before}
    broken = songs / "train/song_00001/bass.wav"
    broken.unlink()
    make_songs(folder, songs, 2, 1, seconds=8.0, n_jobs=1)
    assert {path: path.read_bytes() for path in songs.rglob("*.wav")} == before
    again = {path for path in before if path.stat().st_mtime_ns != times[path]}
    assert again == set(broken.parent.glob("*.wav"))
    other = render_song(sources, 1, seed=1, seconds=8.0)[1]["bass"]
    assert len(other) != len(read(broken.parent, "bass")) or np.any(
        np.abs(other * 32767 - read(broken.parent, "bass")) > 100
    )
    with pytest.raises(InputError, match="holds songs of another seconds .8.0, not 9.0."):
        make_songs(folder, songs, 2, seconds=9.0)


def test_harmony_follows_the_key_and_hits_the_tempo(sources):
    rng = np.random.default_rng(0)
    for style in STYLES:
        plan = make_plan(rng, style, 100.0, (9, "minor"), 30.0)
        assert {section.kind for section in plan.sections} and plan.n_bars == 12
        assert all(any(s.plays[stem] for s in plan.sections) for stem in STEMS)
        notes = parts.sustained(plan, plan.sections, rng, 60)
        allowed = {*plan.scale, 8}  # A minor, and the leading note of its dominant
        assert {note.pitch % 12 for note in notes} <= allowed
        bass = parts.bass_line(plan, plan.sections, rng, np.arange(0, 28.8, 1.2), 28)
        steps = np.array([note.start for note in bass]) / plan.beat * 4
        assert np.abs(steps - steps.round()).max() < 0.15  # of a sixteenth
        assert min(note.pitch for note in bass) >= 28 - 5
    assert voiced([9, 0, 4], 60) == [57, 60, 64] and near(11, 60) == 59


def test_drums_play_the_midi_at_the_tempo_of_the_song(folder, sources):
    groove, fills = grooves.choose_grooves(sources, np.random.default_rng(0), ("rock",), 120)
    assert groove.n_bars == 4 and fills.n_bars == 1
    bar = groove.bar(2)
    kicks = [hit.time for hit in bar if hit.piece == "kick"]
    assert kicks == [0.0, 2.0] and len(bar) == 12
    loud = {hit.piece: hit.velocity for hit in bar if hit.time % 1 == 0}
    assert loud["snare"] == pytest.approx(110 / 127)
    (folder / "broken.mid").write_bytes(b"MThd\0\0")
    with pytest.raises(InputError, match="broken.mid: is no MIDI file that can be read"):
        grooves.Performance(folder / "broken.mid")


def test_phrases_are_moved_to_the_key_and_begin_on_a_beat(sources):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        voice, bpm, key = choose_voice(sources, rng, STYLES["pop"])
        audio = voice.phrase(voice.phrases[2])
        off = (pitch_of(audio) - key[0] + 6) % 12 - 6  # from the root, which the phrase sings
        fifth = abs(abs(off) - 5) < 0.3  # its third harmonic may be the strongest
        assert abs(off) < 0.3 or fifth
        seconds = 2.0 / voice.size / voice.tempo
        assert audio.shape[1] / RATE == pytest.approx(seconds, rel=0.03)
        plan = make_plan(rng, "pop", bpm, key, 20.0)
        sung = sing(voice, plan, plan.sections, int(20 * RATE))
        beats = np.array([start for start, *_ in sung]) / RATE / plan.beat
        assert len(sung) > 2 and np.abs(beats - beats.round()).max() * plan.beat < 0.03


@pytest.mark.parametrize("seed", [0, 1])
def test_synthesised_singers_keep_to_the_key_and_sing_harmonies(seed):
    plan = make_plan(np.random.default_rng(seed), "pop", 100.0, (3, "minor"), 30.0)
    voice = MadeVoice(np.random.default_rng(seed), plan)
    for name in voice.phrases[::5]:
        audio = voice.phrase(name)
        assert 0.5 < audio.shape[1] / RATE < 8 * plan.beat + 1
        last = slice(-int(0.35 * RATE), -int(0.2 * RATE))  # inside the last note
        pitch = pitch_of(audio[:, last])
        assert min(abs((pitch - step + 6) % 12 - 6) for step in plan.scale) < 0.6
        higher = pitch_of(voice.harmony(name, 7)[:, last])
        assert abs(higher - pitch - 7) < 1.5


def test_sampler_chooses_layers_and_tunes_the_nearest_note(sources):
    sampler = Sampler(sources, sources.notes["bass"]["b"], np.random.default_rng(0))
    for pitch in (33, 36.5):
        note = sampler.note(pitch, 0.8, 0.9)
        assert pitch_of(note) == pytest.approx(pitch, abs=0.2)
    soft, loud = (np.abs(sampler.note(34, 0.5, velocity)).max() for velocity in (0.2, 0.9))
    assert loud > 3 * soft  # another layer, not a gain alone
    assert sampler.fold(60) == 48 and sampler.note(34, 0.25, 1).shape == (1, int(0.33 * RATE))


def test_limiter_gives_every_stem_the_same_gain():
    stems = np.random.default_rng(0).normal(0, 0.3, (4, 2, RATE)).astype(np.float32)
    limited = fx.limit(stems)
    gains = limited / stems
    np.testing.assert_allclose(gains, np.broadcast_to(gains[:1, :1], gains.shape), rtol=1e-3)
    assert 0.9 * fx.CEILING < np.abs(limited.sum(axis=0)).max() <= fx.CEILING + 1e-5


def test_says_which_stem_is_silent_throughout(tmp_path, capsys):
    sources = make_sources(tmp_path / "sources", phrase_level=0.0)
    make_songs(sources, tmp_path / "songs", 1, seconds=8.0, n_jobs=1)
    note = r"note: \S+train/song_00000: vocals silent throughout"
    assert re.search(note, "".join(capsys.readouterr()))
    assert not read(tmp_path / "songs/train/song_00000", "vocals").any()


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the sources in ../shared")
def test_a_real_song_is_rendered_fast_and_sounds():
    sources, cost = Sources(SHARED), []
    for number in range(3):  # the first decodes what the others use too
        start = time.process_time()
        plan, stems = render_song(sources, number, seconds=12.0)
        cost.append((time.process_time() - start) / len(stems["bass"]) * RATE)
        assert all(fx.rms(audio.T) > 0.003 for audio in stems.values()), plan
    assert min(cost) < 5 / 30


def test_other_songs_stand_beside_the_rendered_ones(rendered, tmp_path):
    for song in ("train/mine", "valid/yours"):
        shutil.copytree(rendered / "rendered/train/song_00000", tmp_path / "real" / song)
    songs, counts = rendered / "songs2", {"train": 2, "test": 0}
    (tmp_path / "real/about.json").write_text('{"name": "ours", "license": "all rights reserved"}')
    link_songs(songs, rendered / "rendered", counts, tmp_path / "real")
    about = json.loads((songs / "about.json").read_text())
    assert about == {
        "name": "freestems and ours",
        "license": "rendered from sounds under CC0-1.0; ours: all rights reserved",
    }
    names = {"train/mine", "train/song_00000", "train/song_00001", "valid/yours"}
    assert {str(path.relative_to(songs)) for path in songs.glob("*/*")} == names
    link_songs(songs, rendered / "rendered", {"train": 1, "test": 1})
    names = {"train/song_00000", "test/song_1000000"}
    assert {str(path.relative_to(songs)) for path in songs.glob("*/*")} == names
    (songs / MARK).unlink()  # as earlier versions left it
    link_songs(songs, rendered / "rendered", {"train": 1, "test": 1})
    (songs / "valid/mine").mkdir()
    with pytest.raises(InputError, match="songs2: holds something else .valid/mine.; choose"):
        link_songs(songs, rendered / "rendered", {"train": 1, "test": 1})
    (tmp_path / "real/train/mine").rename(tmp_path / "real/train/song_00000")
    with pytest.raises(InputError, match="train/song_00000: has the name of a rendered song"):
        plan_links(
            tmp_path / "new", tmp_path / "not yet", {"train": 1, "test": 0}, tmp_path / "real"
        )


@pytest.mark.parametrize("entry", ["about.json", "train/linked", "train/mine"])
def test_a_folder_of_somebody_else_is_left_alone(rendered, tmp_path, entry):
    path = tmp_path / "songs" / entry
    path.parent.mkdir(parents=True)
    if entry == "train/linked":
        path.symlink_to(rendered / "rendered/train/song_00000")
    elif entry == "train/mine":
        path.mkdir()
    else:
        path.write_text("mine")
    with pytest.raises(InputError, match="songs: holds something else .*; choose another --rende"):
        link_songs(tmp_path / "songs", rendered / "rendered", {"train": 2, "test": 1})
    assert {*tmp_path.rglob("*")} == {tmp_path / "songs", path.parent, path}


def test_recipe_renders_and_hands_over_to_musdb18(tmp_path):
    done = run_recipe(
        "--sources_dir", "S", "--render_dir", str(tmp_path), "--n_train", "3", "--lr", "1e-4"
    )
    assert done.returncode == 0, done.stderr
    render, prepare_data, train, *_ = re.findall(r"^\S*(?:local|train).*", done.stdout, re.M)
    assert re.search(r"render_songs.py --sources_dir /\S+/S .*--n_train 3 .*--lr 1e-4$", render)
    assert f"--musdb18_dir {tmp_path}/songs" in prepare_data
    assert f"--data_dir {tmp_path}/prepared" in prepare_data
    assert "freestems/exp/train_tfswaunet_freestems" in train and train.endswith("--lr 1e-4")
    assert "freestems/local/conf.yml" in train
    again = run_recipe("--stage", "1", "--tag", "b")
    assert "render_songs" not in again.stdout and "train_tfswaunet_b" in again.stdout
    assert "/songs" not in again.stdout  # wherever the prepared ones are from
    for options, message in (
        (("--musdb18_dir", "x"), "--musdb18_dir is set by this recipe; name your own songs with"),
        (("--n_train",), "--n_train needs a value"),
        (("--n_tran", "3"), "unknown option --n_tran (did you mean --n_train?)"),
        (("--epoch", "3"), "unknown option --epoch (did you mean --epochs?)"),
        (("--tag", "a/b"), "--tag becomes part of names of files"),
    ):
        failed = run_recipe("--render_dir", str(tmp_path), *options)
        assert failed.returncode == 1 and message in failed.stderr
        assert "Stage 0" not in failed.stdout


@pytest.mark.parametrize(
    "options, message",
    [
        (["--lr", "0"], "--lr"),
        (["--init_from", "nosuch.pth"], "model file not found: 'nosuch.pth'"),
        (["--seconds", "3"], "seconds is 3.0: give 8 to 600"),
        (["--songs_dir", "nowhere"], "nowhere: no such folder"),
        (["--sources_dir", "S", "--more_sources", "vocalset"], "--more_sources vocalset adds"),
    ],
)
def test_options_are_checked_before_the_sounds_are_downloaded(
    options, message, tmp_path, monkeypatch
):
    monkeypatch.setattr(archives, "download_sources", lambda *_: pytest.fail("downloads"))
    monkeypatch.setattr("sys.argv", ["x", "--render_dir", str(tmp_path / "new"), *options])
    main = runpy.run_path(str(ROOT / "egs/freestems/local/render_songs.py"))["main"]
    with pytest.raises(InputError, match=message):
        main()
    assert not (tmp_path / "new").exists()


def test_tone_is_what_tests_measure():
    assert pitch_of(tone(PHRASE_HZ, 1.0)[None]) == pytest.approx(57, abs=0.05)
