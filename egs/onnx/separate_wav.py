"""Separate a 16-bit WAV with a model of `asteroid-tfswa export --format onnx --waveform`.

python separate_wav.py MODEL.onnx SONG.wav FOLDER
"""

import json
import sys
import wave
from pathlib import Path

import numpy as np
import onnxruntime

model, song, folder = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
about = json.loads(session.get_modelmeta().custom_metadata_map["model.json"])["waveform"]
chunk, overlap, hop = about["chunk"], about["overlap"], about["chunk"] - about["overlap"]
form = about["channels"], 2, round(about["sample_rate"])
with wave.open(song) as file:
    if file.getparams()[:3] != form:
        sys.exit(f"{song}: (channels, bytes, Hz) are {file.getparams()[:3]}; convert it to {form}")
    audio = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, form[0]).T
length = audio.shape[1]
audio = np.pad(audio / np.float32(32768), ((0, 0), (0, max(0, chunk - length))))
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
Path(folder).mkdir(parents=True, exist_ok=True)
for name, stem in zip(about["sources"], stems[..., :length]):
    with wave.open(f"{folder}/{name}.wav", "wb") as file:
        file.setparams((*form, 0, "NONE", None))
        file.writeframes((stem.T * 32768).round().clip(-32768, 32767).astype("<i2").tobytes())
