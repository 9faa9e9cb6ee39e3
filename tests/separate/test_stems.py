"""The stems of a file: those requested, in any format, all or nothing."""

import os
import sys
import threading
import time
import warnings
from concurrent.futures import CancelledError

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa import InputError
from asteroid_tfswa.audio import read as read_module
from asteroid_tfswa.audio.write import SUBTYPES, AudioFormat
from asteroid_tfswa.separate import separate_file
from asteroid_tfswa.separate.names import OUTPUT
from tests.stand_ins import RATE, StandIn, read, tones, write

# --- written ---


@pytest.mark.parametrize("ext, bits", SUBTYPES)
def test_every_format_keeps_length_and_level(tmp_path, ext, bits):
    wav = tones(16000, 3)
    soundfile.write(tmp_path / "in.wav", wav, 16000, subtype="FLOAT")
    form = AudioFormat(ext, bits)
    paths = separate_file(StandIn(), tmp_path / "in.wav", tmp_path / "out", form=form)
    for gain, path in enumerate(paths, start=1):
        info = soundfile.info(path)
        assert (info.format, info.subtype) == (
            {"ogg": "OGG"}.get(ext, ext.upper()),
            SUBTYPES[ext, bits],
        )
        assert (info.samplerate, info.frames) == (16000, 48000)
        np.testing.assert_allclose(read(path), gain * wav, atol=0.05 if bits is None else 2e-3)


def test_rescaling_lowers_all_stems_alike(tmp_path):
    wav = write(tmp_path / "in.wav", peak=0.8)
    with pytest.warns(UserWarning, match="all stems lowered by 4.1 dB"):
        one, two = separate_file(
            StandIn(), tmp_path / "in.wav", tmp_path / "out", form=AudioFormat("flac")
        )
    gain = 0.999 / (2 * np.abs(wav).max())
    np.testing.assert_allclose(read(one), gain * wav, atol=1e-5)
    np.testing.assert_allclose(read(two), gain * 2 * wav, atol=1e-5)
    assert sorted(os.listdir(one.parent)) == ["one.flac", "two.flac"]  # the copies are gone


@pytest.mark.parametrize("clip", ["clamp", "none"])
def test_without_rescaling_the_rest_keeps_its_level(tmp_path, clip):
    wav = write(tmp_path / "in.wav", peak=0.8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, two = separate_file(
            StandIn(), tmp_path / "in.wav", tmp_path, form=AudioFormat("wav", 16), clip=clip
        )
    np.testing.assert_allclose(read(one), wav, atol=1e-4)
    np.testing.assert_allclose(read(two), np.clip(2 * wav, -1, 1), atol=1e-4)


def test_silence_stays_silence(tmp_path, make_model):
    soundfile.write(tmp_path / "in.wav", np.zeros((9000, 2)), 8000)
    for path in separate_file(
        make_model(), tmp_path / "in.wav", tmp_path, form=AudioFormat("flac"), segment=0.3
    ):
        assert not read(path).any() and len(read(path)) == 9000


@pytest.mark.parametrize("rate", [8000, 11025])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_mixture_consistency(tmp_path, make_model, rate, channels):
    wav = write(tmp_path / "in.wav", 9000, channels, rate=rate)
    options = {"mixture_consistency": True, "segment": 0.3}
    paths = separate_file(make_model(), tmp_path / "in.wav", tmp_path, **options)
    assert np.abs(sum(map(read, paths)) - wav).max() < 1e-4
    only = separate_file(
        make_model(), tmp_path / "in.wav", tmp_path / "2", stems=["drums"], **options
    )
    assert [path.name for path in only] == ["drums.wav"]


def test_only_the_stems_asked_for(tmp_path):
    wav = write(tmp_path / "in.wav")
    (two,) = separate_file(StandIn(), tmp_path / "in.wav", tmp_path / "out", stems=["two"])
    np.testing.assert_allclose(read(two), 2 * wav, atol=1e-5)
    assert os.listdir(tmp_path / "out/in") == ["two.wav"]


@pytest.mark.parametrize("rate", [RATE, 1500])
def test_two_stems_are_the_mixture(tmp_path, rate):
    wav = write(tmp_path / "in.wav", rate=rate)
    two, rest = separate_file(StandIn(), tmp_path / "in.wav", tmp_path, two_stems="two")
    assert (two.name, rest.name) == ("two.wav", "no_two.wav")
    np.testing.assert_allclose(read(two) + read(rest), wav, atol=1e-5)


def test_names_by_a_template(tmp_path):
    (tmp_path / "al{bum}").mkdir()
    write(tmp_path / "al{bum}" / "a.b.wav")
    (path,) = separate_file(
        StandIn(),
        tmp_path / "al{bum}" / "a.b.wav",
        tmp_path / "out",
        "{folder} - {song} ({stem}).{ext}",
        stems=["two"],
    )
    assert path == tmp_path / "out" / "al{bum} - a.b (two).wav" and path.is_file()


def test_files_too_long_for_wav_are_rf64(tmp_path):
    for n_samples, container in ((10**8, "WAV"), (4 * 10**8, "RF64"), (None, "RF64")):
        AudioFormat().open(tmp_path / "a.wav", 44100, 2, n_samples).close()
        assert soundfile.info(tmp_path / "a.wav").format == container


@pytest.mark.parametrize("ext", ["wav", "flac", "mp3"])  # ogg has a random number in its header
def test_same_input_same_files(tmp_path, make_model, ext):
    write(tmp_path / "in.wav", 5000, rate=11025)
    options = {"form": AudioFormat(ext), "segment": 0.2, "shifts": 2}
    model = make_model()
    first = separate_file(model, tmp_path / "in.wav", tmp_path / "1", **options)
    time.sleep(1.1)  # headers hold the time in seconds
    again = separate_file(model, tmp_path / "in.wav", tmp_path / "2", **options)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


# --- refused, interrupted, and nothing left ------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"stems": ["three"]}, "the model has one, two, but no 'three'"),
        ({"two_stems": "three"}, "the model has one, two, but no 'three'"),
        ({"stems": ["one"], "two_stems": "one"}, "exclude each other"),
        ({"output": "{song}.{ext}"}, "gives all stems one name"),
        ({"output": "{artist}/{stem}"}, "must be a name with no fields but"),
        ({"output": "{song"}, "must be a name with no fields but"),
        ({"clip": "soft"}, "clip: 'soft' is unknown; use one of rescale, clamp, none"),
        ({"stems": []}, "stems .*: the model has one, two, but no ''"),
        ({"two_stems": ""}, "two_stems .*: the model has one, two, but no ''"),
        ({"stems": [], "two_stems": ""}, "exclude each other"),
        ({"output": ""}, "must end with the name of a file"),
        ({"output": "{stem}/"}, "must end with the name of a file"),
        ({"output": "{stem}/."}, "must end with the name of a file"),
        ({"output": "{stem}\0"}, "must end with the name of a file"),
        ({"output": "../{stem}"}, "leads out of the output folder"),
        ({"output": "a/../../{stem}"}, "leads out of the output folder"),
        ({"output": "/tmp/{stem}"}, "leads out of the output folder"),
        ({"output": "{0}{stem}"}, "must be a name with no fields but"),
        ({"output": "{}{stem}"}, "must be a name with no fields but"),
        ({"output": "{stem!r}"}, "must be a name with no fields but"),
        ({"output": "{stem!}"}, "must be a name with no fields but"),
        ({"output": "{stem:>3000000000}"}, "must be a name with no fields but"),
        ({"output": "{stem:{ext}}"}, "must be a name with no fields but"),
        ({"output": "{stem[0]}"}, "must be a name with no fields but"),
        ({"output": "{stem.__class__.__mro__}/{stem}"}, "must be a name with no fields but"),
        ({"output": "a" * 300 + "{stem}"}, "its stem cannot have the name .*File name too long"),
        (
            {"output": "{song}_{stem}.MP3"},
            "'{song}_{stem}.MP3' ends in .mp3, but the format is wav; end the output name in "
            "[.]{ext}, or choose --format mp3",
        ),
        ({"output": "{stem}.opus"}, "ends in .opus, but the format is wav; .* in [.]{ext}$"),
        (
            {"output": "{stem}.{ext_in}", "form": AudioFormat("flac")},
            "song.wav: its stem .*one.wav ends in .wav, but the format is flac",
        ),
        ({"segment": 0}, "segment must be 0.01 to 600 seconds: got 0"),
    ],
)
def test_options_that_cannot_be_used(tmp_path, options, message):
    write(tmp_path / "song.wav")
    with pytest.raises(InputError, match=f"^[^\n]*{message}[^\n]*$"):
        separate_file(StandIn(), tmp_path / "song.wav", tmp_path / "out", **options)
    assert os.listdir(tmp_path) == ["song.wav"]


def test_stems_never_replace_their_song(tmp_path):
    write(tmp_path / "song.wav")
    with pytest.raises(InputError, match="would replace it"):
        separate_file(StandIn(), tmp_path / "song.wav", tmp_path, "song.wav", stems=["one"])


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc/b", "a\0b"])
def test_sources_of_a_model_never_lead_out_of_the_folder(tmp_path, name):
    write(tmp_path / "song.wav")
    model = StandIn(sources=["one", name])
    with pytest.raises(InputError, match="source '.*' cannot be part of a file name"):
        separate_file(model, tmp_path / "song.wav", tmp_path / "out")
    assert os.listdir(tmp_path) == ["song.wav"]
    separate_file(model, tmp_path / "song.wav", tmp_path / "out", stems=["one"])


SONGS = ["...wav", "..wav", ".stem.mp4", " .wav", ".. .wav", "a\nb.wav", "-a.wav", "{song}.wav"]


@pytest.mark.parametrize("name", [*SONGS, b"caf\xe9.wav"])
@pytest.mark.parametrize(
    "output", [OUTPUT, "{song}{stem}", "{folder}/{song}/{stem}", "{ext_in}/{stem}"]
)
def test_odd_names_of_songs_stay_in_the_folder(tmp_path, monkeypatch, name, output):
    name = os.fsdecode(name)
    (tmp_path / "songs/deep").mkdir(parents=True)
    write(tmp_path / "song.wav")
    (tmp_path / "song.wav").rename(tmp_path / "songs" / name)
    monkeypatch.chdir(tmp_path / "songs/deep")
    paths = separate_file(StandIn(), f"../{name}", tmp_path / "out", output)
    assert all(path.is_file() for path in paths)
    assert os.listdir(tmp_path / "songs") == ["deep", name] or os.listdir(tmp_path / "songs") == [
        name,
        "deep",
    ]
    assert sorted(os.listdir(tmp_path)) == ["out", "songs"]
    if "{folder}" in output:
        assert paths[0].parents[1] == tmp_path / "out/songs"


@pytest.mark.parametrize("form", [AudioFormat(), AudioFormat("flac")])
def test_a_folder_in_the_way_of_a_stem_fails_first(tmp_path, form):
    write(tmp_path / "song.wav")
    (tmp_path / f"out/song/two.{form.ext}").mkdir(parents=True)
    with pytest.raises(InputError, match=f"two.{form.ext}: is a folder"):
        separate_file(
            StandIn(),
            tmp_path / "song.wav",
            tmp_path / "out",
            form=form,
            progress=lambda n: pytest.fail("the work was done first"),
        )
    assert os.listdir(tmp_path / "out/song") == [f"two.{form.ext}"]


def test_formats_that_do_not_exist_or_cannot_hold_the_song(tmp_path):
    with pytest.raises(InputError, match="format: 'm4a' is unknown; use wav, flac, ogg, mp3"):
        AudioFormat("m4a")
    with pytest.raises(InputError, match="flac has no 32 bits; use 16 or 24"):
        AudioFormat("flac", 32)
    write(tmp_path / "in.wav", channels=6, rate=48000)
    with pytest.raises(InputError, match="mp3 cannot hold 6 channels at 48000 Hz"):
        separate_file(StandIn(), tmp_path / "in.wav", tmp_path / "out", form=AudioFormat("mp3"))
    assert not (tmp_path / "out").exists()


def test_consistency_needs_more_than_one_source(tmp_path):
    write(tmp_path / "in.wav")
    with pytest.raises(InputError, match="only source, one, would become the mixture"):
        separate_file(
            StandIn(sources=["one"]), tmp_path / "in.wav", tmp_path, mixture_consistency=True
        )


@pytest.mark.parametrize("form", [AudioFormat(), AudioFormat("flac")])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, None])
def test_interruption_leaves_what_was_there(tmp_path, error, form):
    write(tmp_path / "song.wav")
    there = tmp_path / "out/song" / f"one.{form.ext}"
    there.parent.mkdir(parents=True)
    there.write_text("from before")
    calls = []

    def stop(seconds):
        calls.append(seconds)
        if len(calls) == 5:
            if error:
                raise error
            return False
        return True

    with pytest.raises(error or CancelledError):
        separate_file(
            StandIn(),
            tmp_path / "song.wav",
            tmp_path / "out",
            form=form,
            progress=stop,
            segment=0.1,
        )
    assert os.listdir(there.parent) == [there.name]
    assert there.read_text() == "from before"


@pytest.mark.parametrize("nth", [1, 2])  # the threads that write and read
def test_ctrl_c_while_a_thread_starts(tmp_path, monkeypatch, nth):
    monkeypatch.setattr(read_module, "BLOCK", 3_000_000)  # slow, so that the end comes first
    write(tmp_path / "song.wav", 3_000_000, rate=44100)
    start, calls = threading.Thread.start, []

    def start_and_interrupt(thread):
        start(thread)
        calls.append(thread)
        if len(calls) == nth:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        separate_file(StandIn(), tmp_path / "song.wav", tmp_path / "out")
    assert not (tmp_path / "out/song").exists()


# --- threads -------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_torch_computes_in_one_thread_only(tmp_path):
    """torch starts helpers in each thread that uses it, and they slow one another down."""
    write(tmp_path / "song.wav", 400_000)
    model, counts = StandIn().eval(), []

    def count(seconds=0):
        counts.append(len(os.listdir("/proc/self/task")) - threading.active_count())

    n_threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with torch.no_grad():
            model(torch.zeros(1, 2, 100_000))
        count()
        separate_file(model, tmp_path / "song.wav", tmp_path, segment=100.0, progress=count)
    finally:
        torch.set_num_threads(n_threads)
    assert len(counts) > 4 and max(counts) == counts[0]


# --- Asteroid's interface ------------------------------------------------------------------------


def test_asteroids_file_interface(tmp_path, make_model):
    model = make_model()
    wav = write(tmp_path / "song.wav", 5000, rate=8000)
    paths = model.separate(str(tmp_path / "song.wav"), segment=0.2)
    assert paths == [tmp_path / "song_est1.wav", tmp_path / "song_est2.wav"]
    expected = model.separate(np.ascontiguousarray(wav.T), segment=0.2)
    for path, source in zip(paths, expected):
        np.testing.assert_allclose(read(path).T, source, atol=1e-5)  # stereo, and not rescaled

    paths[0].write_text("from before")
    with pytest.warns(UserWarning, match="song_est1.wav already exists, .*force_overwrite=True"):
        model.file_separate(str(tmp_path / "song.wav"))
    assert paths[0].read_text() == "from before"
    model.file_separate(str(tmp_path / "song.wav"), force_overwrite=True)
    assert soundfile.info(paths[0]).frames == 5000


def test_asteroids_files_are_kept_if_any_exists(tmp_path, make_model):
    write(tmp_path / "song.wav", 5000, rate=8000)
    (tmp_path / "song_est2.wav").symlink_to("the user's own")  # on a disk that is not there
    with pytest.warns(UserWarning, match="song_est2.wav already exists, .*True .-f. to overwrite"):
        make_model().file_separate(tmp_path / "song.wav")
    assert sorted(os.listdir(tmp_path)) == ["song.wav", "song_est2.wav"]


def test_asteroids_resampling(tmp_path, make_model):
    write(tmp_path / "song.wav", 5000, channels=1, rate=11025)
    with pytest.raises(InputError, match="11025 Hz, the model 8000 Hz: pass resample=True"):
        make_model().separate(str(tmp_path / "song.wav"), output_dir=str(tmp_path / "out"))
    paths = make_model().separate(
        str(tmp_path / "song.wav"), output_dir=str(tmp_path / "out"), resample=True
    )
    assert [path.parent for path in paths] == [tmp_path / "out"] * 2
    info = soundfile.info(paths[0])
    assert (info.frames, info.samplerate, info.channels) == (5000, 11025, 1)
