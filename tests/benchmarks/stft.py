"""The package's STFT against torch.stft and torch.istft, and Asteroid's convolution."""

import torch
from asteroid_filterbanks import make_enc_dec as asteroid_enc_dec

from asteroid_tfswa.filterbanks import make_enc_dec
from tests.benchmarks.measure import Variant, arguments, measure, show
from tests.benchmarks.work import SAMPLE_RATE, noise

N_FFT, HOP = 2048, 512


def by_torch(task, wav_args):
    """torch.stft and torch.istft."""
    window = torch.hann_window(N_FFT).sqrt()
    wav = noise(**wav_args).flatten(0, 1)  # (batch * chan, time)
    spec = torch.stft(wav, N_FFT, HOP, window=window, return_complex=True)
    if task == "encode":
        return lambda: torch.stft(wav, N_FFT, HOP, window=window, return_complex=True)
    return lambda: torch.istft(spec, N_FFT, HOP, window=window)


def by_package(task, wav_args):
    """The package's filterbank."""
    return _filterbank(task, wav_args, *make_enc_dec("FFTSTFTFB", N_FFT, N_FFT, HOP, SAMPLE_RATE))


def by_asteroid(task, wav_args):
    """Asteroid's filterbank with the same numbers."""
    window = torch.hann_window(N_FFT).sqrt().numpy()
    enc, dec = asteroid_enc_dec(
        "torch_stft", N_FFT, N_FFT, HOP, sample_rate=SAMPLE_RATE, window=window
    )
    return _filterbank(task, wav_args, enc, dec)


def _filterbank(task, wav_args, encoder, decoder):
    wav = noise(**wav_args)
    with torch.no_grad():
        spec = encoder(wav)  # (batch, chan, 2 * freq, frames)
    # Asteroid's decoder reads three dimensions before freq as (batch, n_src, chan).
    work = (lambda: encoder(wav)) if task == "encode" else (lambda: decoder(spec[:, None]))
    return torch.no_grad()(work)


def main():
    """Print tables for encoding and decoding, and the largest differences to torch's."""
    parser = arguments(__doc__, runs=30)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of the audio")
    parser.add_argument("--batch", type=int, default=1, help="stereo mixtures at once")
    args = parser.parse_args()

    for task in ("encode", "decode"):
        wav_args = {"seconds": args.seconds, "batch": args.batch}
        kwargs = {"task": task, "wav_args": wav_args}
        variants = [
            Variant("torch", by_torch, kwargs),
            Variant("FFTSTFTFB", by_package, kwargs),
            Variant("Asteroid torch_stft", by_asteroid, kwargs),
        ]
        measure(variants, args.runs, args.threads)
        show(f"{task}, {args.seconds:g} s of stereo, batch {args.batch}", variants)
        base = variants[0].output
        if task == "encode":
            base = torch.cat([base.real, base.imag], dim=1)  # (batch * chan, 2 * freq, frames)
        for variant in variants[1:]:
            out = variant.output.reshape(-1, *variant.output.shape[-base.ndim + 1 :])
            n = min(out.shape[-1], base.shape[-1])
            difference = (out[..., :n] - base[..., :n]).abs().max()
            print(f"  {variant.name} - torch: {difference:.1e} at most, of {base.abs().max():.2f}")


if __name__ == "__main__":
    main()
