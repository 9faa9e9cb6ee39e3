"""python separate_wav.py MODEL.onnx SONG.wav FOLDER, of asteroid-tfswa export --waveform."""

import json
import sys
import wave
from pathlib import Path

import numpy as np
import onnxruntime

if len(sys.argv) != 4:
    sys.exit(f"usage: {__doc__}")
model, song, folder = sys.argv[1:]
try:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["model.json"])["waveform"]
except Exception as error:  # ONNX Runtime's errors have no class in common
    sys.exit(f"{model}: give a model of asteroid-tfswa export --waveform ({error!r})")
chunk, overlap, hop = about["chunk"], about["overlap"], about["chunk"] - about["overlap"]
form = about["channels"], 2, round(about["sample_rate"])
try:
    with wave.open(song) as file:
        if (found := file.getparams()[:3]) != form:
            sys.exit(f"{song}: (channels, bytes, Hz) are {found}; convert it to {form}")
        data = file.readframes(length := file.getnframes())
        if not 0 < len(data) == length * 2 * form[0]:
            raise EOFError("the audio is missing or cut off")
    Path(folder).mkdir(parents=True, exist_ok=True)
except (OSError, EOFError, wave.Error) as error:
    sys.exit(f"{song} to {folder}: {error!r}; give a whole 16-bit WAV (ffmpeg -c:a pcm_s16le)")
audio = np.frombuffer(data, "<i2").reshape(-1, form[0]).T / np.float32(32768)
# A short song is repeated: the model takes its level from the whole chunk, and silence is none.
audio = np.pad(audio, ((0, 0), (0, max(0, chunk - length))), mode="wrap")
stems = np.zeros((len(about["sources"]), *audio.shape), np.float32)
fade = np.clip((np.arange(overlap) + 0.5 - overlap / 4) / (max(overlap, 1) / 2), 0, 1)
for begin in range(0, max(length - overlap, 1), hop):
    start = min(begin, audio.shape[1] - chunk)  # the last chunk begins earlier, to be full
    out = session.run(None, {"mixture": audio[None, :, start : start + chunk]})[0][0]
    out = out[..., begin - start :]
    if begin > 0:
        out[..., :overlap] *= fade
    if begin + chunk < length:
        out[..., hop:] *= fade[::-1]
    stems[..., begin : begin + out.shape[-1]] += out
for name, stem in zip(about["sources"], stems[..., :length]):
    with wave.open(f"{folder}/{name}.wav", "wb") as file:
        file.setparams((*form, 0, "NONE", None))
        file.writeframes((stem.T * 32768).round().clip(-32768, 32767).astype("<i2").tobytes())
