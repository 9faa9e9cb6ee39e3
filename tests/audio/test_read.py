"""All audio of a file is read, whatever its header says, or one line says why not."""

import os
import shutil
import signal
import struct
import subprocess

import numpy as np
import pytest
import soundfile

from asteroid_tfswa import InputError
from asteroid_tfswa.audio import ffmpeg
from asteroid_tfswa.audio.read import open_audio

RATE = 44100
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
OPTIONS = {"opus": {"format": "OGG", "subtype": "OPUS"}}


def tone(seconds, frequency=440, rate=RATE, n_channels=2):
    wave = 0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], n_channels, axis=1)


def encode(path, wav, rate=RATE):
    """Write a file; return its bytes, and its samples as soundfile reads them."""
    ext = path.name.rsplit(".")[-1]
    rate = 48000 if ext == "opus" else rate
    soundfile.write(path, wav, rate, **OPTIONS.get(ext, {}))
    return path.read_bytes(), soundfile.read(path, dtype="float32", always_2d=True)[0]


def read(path):
    return np.concatenate(list(open_audio(path).blocks()))


def run_ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


# --- files joined by `cat` ---

ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x14" + b"\xff\xfb\x90\x64" * 5  # a tag that looks like a frame
ID3V1 = b"TAG" + bytes(125)
APE = b"APETAGEX" + struct.pack("<4I", 2000, 32, 0, 0) + bytes(8)


@pytest.mark.parametrize("ext", ["wav", "flac", "ogg", "opus", "mp3", "mp3 with tags"])
def test_joined_files_are_read_to_the_sample(tmp_path, ext):
    path = tmp_path / f"joined.{ext[:4].strip()}"
    parts = [encode(path, tone(seconds, 300 * seconds)) for seconds in (0.7, 1.1, 0.5)]
    between = ID3V1 + APE + ID3 if "tags" in ext else b""
    path.write_bytes(ID3 * bool(between) + between.join(data for data, _ in parts) + between)
    audio = open_audio(path)
    expected = np.concatenate([wav for _, wav in parts])
    assert audio.n_samples == len(expected) and audio.is_exact and not audio.is_plain_wav
    np.testing.assert_array_equal(read(path), expected)


@pytest.mark.parametrize("ext", ["wav", "flac", "ogg", "mp3"])
def test_joined_files_of_other_rates_and_channels(tmp_path, ext):
    path = tmp_path / f"joined.{ext}"
    first, _ = encode(path, tone(1.0, 500))
    other, _ = encode(path, tone(1.0, 500, 22050, n_channels=1), 22050)
    path.write_bytes(first + other)
    wav = read(path)
    assert abs(len(wav) - 2 * RATE) <= 2 and open_audio(path).measured().n_samples == len(wav)
    for second in (wav[4000:-RATE], wav[RATE + 4000 : -4000]):  # lossy coders blur beginnings
        spectrum = np.abs(np.fft.rfft(second[:30000], axis=0))
        assert (spectrum.argmax(axis=0) == 340).all()  # 500 Hz in both channels
    path.write_bytes(other + first)
    with pytest.raises(InputError, match="files of 1 and of 2 channels; convert them"):
        open_audio(path)


@needs_ffmpeg
def test_joined_mp3_without_headers(tmp_path):
    path = tmp_path / "joined.mp3"
    with_header, _ = encode(path, tone(1.0))
    soundfile.write(tmp_path / "in.wav", tone(1.0), RATE)
    run_ffmpeg("-i", tmp_path / "in.wav", "-write_xing", "0", path)
    without = path.read_bytes()
    for data in (with_header + without, without + with_header, without + without):
        path.write_bytes(data)
        wav = read(path)
        assert 2 * RATE <= len(wav) < 2.15 * RATE  # the coder's padding is unknown here
        loud = np.abs(wav[: len(wav) // 441 * 441, 0]).reshape(-1, 441).max(axis=1) > 0.1
        assert 195 <= loud.sum() <= 204  # of 10 ms each, joins are silent


# --- headers that state no length, or a wrong one ---


def wav_bytes(tmp_path, size_of_audio, size_of_file=None, n_channels=2, subtype="PCM_16"):
    wav = np.random.default_rng(0).uniform(-0.5, 0.5, (5000, n_channels))
    soundfile.write(tmp_path / "whole.wav", wav, RATE, subtype=subtype)
    data = bytearray((tmp_path / "whole.wav").read_bytes())
    place = data.index(b"data") + 4
    struct.pack_into("<I", data, place, size_of_audio)
    if size_of_file is not None:
        struct.pack_into("<I", data, 4, size_of_file)
    return data, soundfile.read(tmp_path / "whole.wav", dtype="float32", always_2d=True)[0]


@pytest.mark.parametrize("size_of_file", [None, 0, 8, 36, 0x7FFFF024, 0xFFFFFFFF])
@pytest.mark.parametrize(
    "size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x7FFFFFDB, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB]
)
def test_wav_without_a_length(tmp_path, size, size_of_file):
    data, expected = wav_bytes(tmp_path, size, size_of_file)
    (tmp_path / "pipe.wav").write_bytes(data)
    audio = open_audio(tmp_path / "pipe.wav")
    assert audio.n_samples == 5000 and audio.is_exact
    np.testing.assert_array_equal(read(tmp_path / "pipe.wav"), expected)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "DOUBLE", "ULAW"])
@pytest.mark.parametrize("size", [0, 4008])  # as at the start of a recording, or at its last update
def test_wav_left_by_a_crash(tmp_path, subtype, size):
    data, expected = wav_bytes(tmp_path, size, None, 1, subtype)
    (tmp_path / "crash.wav").write_bytes(data)
    np.testing.assert_array_equal(read(tmp_path / "crash.wav"), expected)


def test_wav_left_by_a_crash_before_silence(tmp_path):
    wav = np.random.default_rng(0).uniform(-0.5, 0.5, (5000, 2))
    wav[1000:3000] = 0  # digital silence of 8000 bytes after what the header states
    data, _ = encode(tmp_path / "crash.wav", wav)
    data = bytearray(data)
    struct.pack_into("<I", data, data.index(b"data") + 4, 4000)
    (tmp_path / "crash.wav").write_bytes(data)
    assert open_audio(tmp_path / "crash.wav").n_samples == 5000 == len(read(tmp_path / "crash.wav"))


@pytest.mark.parametrize(
    "rest", [b"TAG" + bytes(125), ID3, bytes(3000), b"hello\n" * 99, b"LIST\x04\0\0\0INFO", b"\x01"]
)
def test_what_others_append_to_wav_is_no_audio(tmp_path, rest):
    soundfile.write(tmp_path / "a.wav", tone(0.1), RATE)
    with open(tmp_path / "a.wav", "ab") as file:
        file.write(rest)
    assert open_audio(tmp_path / "a.wav").n_samples == 4410 == len(read(tmp_path / "a.wav"))


def last_page(data):
    return data.rfind(b"OggS")


@pytest.mark.parametrize("ext", ["ogg", "opus"])
def test_ogg_whose_last_page_is_not_flagged(tmp_path, ext):
    path = tmp_path / f"a.{ext}"
    data, expected = encode(path, tone(1.234))
    page = bytearray(data[last_page(data) :])
    page[5], page[22:26] = 0, bytes(4)
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x104C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    page[22:26] = struct.pack("<I", crc)
    path.write_bytes(data[: last_page(data)] + page)
    assert open_audio(path).n_samples == len(expected)
    np.testing.assert_array_equal(read(path), expected)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=f"a.{ext}: cut off"):
        open_audio(path)


@needs_ffmpeg
def test_ogg_recorded_from_the_middle_of_a_stream(tmp_path):
    data, _ = encode(tmp_path / "a.ogg", np.random.default_rng(0).uniform(-0.5, 0.5, (RATE * 3, 2)))
    places = [i for i in range(len(data)) if data.startswith(b"OggS", i)]
    (tmp_path / "a.ogg").write_bytes(data[: places[2]] + data[places[len(places) // 2] :])
    assert 0.8 * RATE < len(read(tmp_path / "a.ogg")) < 2.2 * RATE


def test_ogg_that_lost_pages_after_its_beginning(tmp_path):
    data, _ = encode(tmp_path / "a.ogg", np.random.default_rng(0).uniform(-0.5, 0.5, (RATE * 3, 2)))
    places = [i for i in range(len(data)) if data.startswith(b"OggS", i)]
    (tmp_path / "a.ogg").write_bytes(data[: places[4]] + data[places[6] :])
    with pytest.raises(InputError, match=r"a.ogg: is damaged \(pages are missing\); replace the"):
        open_audio(tmp_path / "a.ogg")


@needs_ffmpeg
@pytest.mark.parametrize("stated", [0, 5000])
def test_flac_that_states_no_or_a_smaller_length(tmp_path, stated):
    wav = np.random.default_rng(0).uniform(-0.5, 0.5, (30000, 2))
    data, expected = encode(tmp_path / "a.flac", wav)
    data = bytearray(data)
    (field,) = struct.unpack_from(">Q", data, 18)
    struct.pack_into(">Q", data, 18, field >> 36 << 36 | stated)
    (tmp_path / "a.flac").write_bytes(data)
    assert open_audio(tmp_path / "a.flac").measured().n_samples == 30000
    np.testing.assert_array_equal(read(tmp_path / "a.flac"), expected)


@needs_ffmpeg
@pytest.mark.parametrize("stated", [None, 10])
def test_mp3_that_states_no_or_a_smaller_length(tmp_path, stated):
    data, expected = encode(tmp_path / "a.mp3", tone(2.0))
    data = bytearray(data)
    place = data.index(b"Info" if b"Info" in data else b"Xing")
    if stated:
        struct.pack_into(">I", data, place + 8, stated)
    else:
        data[place + 7] &= 0xFE
    (tmp_path / "a.mp3").write_bytes(data)
    assert len(expected) <= len(read(tmp_path / "a.mp3")) < len(expected) + 2500


@needs_ffmpeg
def test_mp3_inside_wav(tmp_path):
    soundfile.write(tmp_path / "in.wav", tone(2.0), RATE)
    run_ffmpeg("-i", tmp_path / "in.wav", "-c:a", "libmp3lame", tmp_path / "mp3.wav")
    assert 2 * RATE <= len(read(tmp_path / "mp3.wav")) < 2.1 * RATE


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.w64", "a.caf", "a.rf64"])
def test_files_that_are_cut_off_are_named(tmp_path, name):
    data, _ = encode(tmp_path / name, tone(1.0))
    (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(InputError, match=f"{name}: cut off"):
        open_audio(tmp_path / name)


@needs_ffmpeg
@pytest.mark.parametrize("name, options", [("a.m4a", ["-movflags", "+faststart"]), ("a.mka", [])])
def test_files_for_ffmpeg_that_lack_their_last_frames_are_named(tmp_path, name, options):
    soundfile.write(tmp_path / "in.wav", tone(20.0), RATE)
    run_ffmpeg("-i", tmp_path / "in.wav", "-c:a", "aac", *options, tmp_path / name)
    assert len(read(tmp_path / name)) >= 20 * RATE
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) * 998 // 1000])
    with pytest.raises(InputError, match=f"{name}: is cut off"):
        read(tmp_path / name)


# --- files that are not audio ---


@needs_ffmpeg
@pytest.mark.parametrize("size", [1 << 63, (1 << 64) - 1])
def test_chunks_of_caf_that_state_huge_sizes(tmp_path, size):
    soundfile.write(tmp_path / "a.caf", tone(0.1), RATE)
    data = bytearray((tmp_path / "a.caf").read_bytes())
    struct.pack_into(">Q", data, 12, size)  # of the first chunk
    (tmp_path / "a.caf").write_bytes(data)
    with pytest.raises(InputError, match="a.caf: "):
        open_audio(tmp_path / "a.caf")


@needs_ffmpeg
@pytest.mark.parametrize("place, form, value", [(22, "<H", 0), (22, "<H", 65535)])
def test_headers_with_impossible_numbers_of_channels(tmp_path, place, form, value):
    assert_one_line(tmp_path, place, form, value, "channel")


@needs_ffmpeg
@pytest.mark.parametrize("value", [0, 1, 0x7FFFFFFF])
def test_headers_with_impossible_sample_rates(tmp_path, value):
    assert_one_line(tmp_path, 24, "<I", value, "sample rate|Invalid data")


def assert_one_line(tmp_path, place, form, value, message):
    data, _ = wav_bytes(tmp_path, 20000)
    struct.pack_into(form, data, place, value)
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(InputError, match=f"a.wav: [^\n]*({message})[^\n]*$"):
        open_audio(tmp_path / "a.wav")


@needs_ffmpeg
@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {secret}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" profiles='
        '"urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet mimeType="audio/mp4">'
        "<Representation><BaseURL>{secret}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "no audio\n" * 1000,
    ],
)
@pytest.mark.parametrize("name", ["list.mp3", "list.flac", "list.m3u8", "list%03d.stem.mp4"])
def test_playlists_open_no_other_file(tmp_path, text, name):
    soundfile.write(tmp_path / "secret.wav", tone(1.0), RATE)
    (tmp_path / name).write_text(text.format(secret=tmp_path / "secret.wav"))
    with pytest.raises(InputError, match=f"{name}: [^\n]*$"):
        open_audio(tmp_path / name)


def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    os.symlink("/dev/zero", tmp_path / "zero.wav")
    reader, writer = os.pipe()
    for path in (tmp_path / "pipe.wav", tmp_path / "zero.wav", f"/dev/fd/{reader}"):
        with pytest.raises(InputError, match="is a pipe or device; save the audio to a file"):
            open_audio(path)
    os.close(reader), os.close(writer)


def test_links_in_a_loop_and_names_that_cannot_be(tmp_path):
    os.symlink("loop.wav", tmp_path / "loop.wav")
    with pytest.raises(InputError, match="loop.wav: cannot be read .Too many levels of symbolic"):
        open_audio(tmp_path / "loop.wav")
    with pytest.raises(InputError, match=r"a\\x00b: cannot be the name of a file"):
        open_audio("a\0b")


@pytest.mark.parametrize("ext", ["wav", "flac"])
def test_names_that_are_not_utf8(tmp_path, ext):
    path = tmp_path / os.fsdecode(b"caf\xe9\n." + ext.encode())
    soundfile.write(tmp_path / f"a.{ext}", tone(0.1), RATE)
    os.rename(tmp_path / f"a.{ext}", path)
    assert len(read(path)) == 4410
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError) as caught:
        read(path)
    assert r"caf\udce9\n." in str(caught.value) and str(caught.value).isprintable()


# --- tracks ---


@pytest.fixture
def three_tracks(tmp_path):
    inputs, maps = [], []
    for i, frequency in enumerate((300, 600, 900)):
        soundfile.write(tmp_path / f"{i}.wav", tone(0.5, frequency), RATE)
        inputs += ["-i", tmp_path / f"{i}.wav"]
        maps += ["-map", i]
    labels = ["-metadata:s:a:1", "language=eng", "-metadata:s:a:1", "title=Commentary"]
    defaults = ["-disposition:a:0", "0", "-disposition:a:1", "0", "-disposition:a:2", "default"]
    path = tmp_path / "film.mkv"
    run_ffmpeg(*inputs, *maps, *labels, *defaults, "-c:a", "pcm_s16le", path)
    return path


@needs_ffmpeg
def test_tracks(three_tracks):
    assert open_audio(three_tracks).track == 3  # the file's default
    assert open_audio(three_tracks).tracks == ("", "eng Commentary", "")
    for track, frequency in ((None, 900), (1, 300), (2, 600), (3, 900)):
        wav = np.concatenate(list(open_audio(three_tracks, track).blocks()))
        assert np.abs(np.fft.rfft(wav[:, 0])).argmax() == frequency / 2  # of half a second
    for track in (0, 4):
        with pytest.raises(
            InputError, match=rf"no audio track {track}; it has 1, 2 eng Commentary, 3"
        ):
            open_audio(three_tracks, track)
    with pytest.raises(InputError, match="no audio track 2; it has 1$"):
        open_audio(three_tracks.with_name("0.wav"), track=2)
    assert open_audio(three_tracks.with_name("0.wav"), track=1).tracks == ("",)


def test_programs_do_not_end_at_signals_that_their_process_handles():
    process = ffmpeg.start(["sleep", "60"])
    for signum in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(signum)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
