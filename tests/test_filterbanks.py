"""The FFT filterbank: torch.stft's numbers in Asteroid's layout, and back without a loss."""

import asteroid_filterbanks
import pytest
import torch

from asteroid_tfswa.filterbanks import FFTSTFTFB, make_enc_dec

SIZES = [(2048, 512), (2048, 441), (2048, 1024), (256, 100), (64, 32), (64, 7), (16, 1)]


def enc_dec(kernel_size, stride):
    return make_enc_dec("FFTSTFTFB", kernel_size, kernel_size, stride=stride)


@pytest.mark.parametrize("kernel_size, stride", SIZES)
def test_encoder_equals_torch_stft(kernel_size, stride):
    encoder, _ = enc_dec(kernel_size, stride)
    wav = torch.randn(2, 5003)
    window = torch.hann_window(kernel_size).sqrt()
    expected = torch.stft(wav, kernel_size, stride, window=window, return_complex=True)
    spec = encoder(wav)
    assert spec.shape == (2, kernel_size + 2, 1 + 5003 // stride)
    expected = torch.cat([expected.real, expected.imag], dim=1)
    assert (spec - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("kernel_size, stride", [(256, 64), (256, 100), (512, 441 // 2)])
def test_equals_asteroids_torch_stft(kernel_size, stride):
    theirs_enc, theirs_dec = asteroid_filterbanks.make_enc_dec(
        "torch_stft", kernel_size, kernel_size, stride=stride
    )
    encoder, decoder = enc_dec(kernel_size, stride)
    wav = torch.randn(3, 2, 4000)
    expected = theirs_enc(wav)
    spec = encoder(wav)
    assert spec.shape == expected.shape
    assert (spec - expected).abs().max() < 1e-5 * expected.abs().max()

    masked = expected * torch.rand(expected.shape[1:])  # no spectrogram of any signal
    wav = decoder(masked)
    # At both ends Asteroid keeps what lies beyond the centre of the last frame.
    expected = theirs_dec(masked)[..., : wav.shape[-1]]
    assert (wav - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("length", [2049, 5003, 8192])
@pytest.mark.parametrize("kernel_size, stride", SIZES)
def test_decoder_inverts_encoder(kernel_size, stride, length):
    encoder, decoder = enc_dec(kernel_size, stride)
    wav = torch.randn(1, length)
    out = decoder(encoder(wav))
    assert out.shape[-1] == length // stride * stride
    assert (out - wav[:, : out.shape[-1]]).abs().max() < 1e-5
    assert torch.equal(decoder(encoder(wav), length=100), out[:, :100])


@pytest.mark.parametrize("shape", [(600,), (2, 600), (3, 2, 600), (2, 4, 2, 600)])
def test_any_leading_axes(shape):
    encoder, decoder = enc_dec(64, 20)
    wav = torch.randn(shape)
    spec = encoder(wav)
    assert spec.shape == shape[:-1] + (66, 31)
    assert torch.equal(spec.reshape(-1, 66, 31), encoder(wav.reshape(-1, 600)))
    assert decoder(spec).shape == shape


def test_float32_under_autocast_and_from_other_types():
    encoder, decoder = enc_dec(64, 16)
    wav = torch.randn(2, 500)
    spec = encoder(wav)
    out = decoder(spec)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoder(wav), spec)
        assert torch.equal(decoder(spec), out)
        assert encoder(wav.bfloat16()).dtype == torch.float32
        assert decoder(spec.bfloat16()).dtype == torch.float32


def test_gradients_flow_through_both():
    encoder, decoder = enc_dec(64, 16)
    wav = torch.randn(1, 500, requires_grad=True)
    decoder(encoder(wav), length=496).square().sum().div(2).backward()
    assert (wav.grad[:, :496] - wav[:, :496]).abs().max() < 1e-5  # as for the identity


def test_checkpoints_hold_nothing_of_it():
    encoder, decoder = enc_dec(64, 16)
    assert encoder.state_dict() == {} and decoder.state_dict() == {}
    assert list(encoder.parameters()) == []


def test_config_rebuilds_it():
    fb = FFTSTFTFB(64, 64, stride=20, sample_rate=44100.0)
    config = fb.get_config()
    assert config == {
        "fb_name": "FFTSTFTFB",
        "n_filters": 64,
        "kernel_size": 64,
        "stride": 20,
        "sample_rate": 44100.0,
    }
    encoder, _ = make_enc_dec(**config)
    assert encoder.filterbank.get_config() == config
    assert encoder.stride == 20 and encoder.n_feats_out == 66
    assert make_enc_dec("FFTSTFTFB", 64, 64)[0].stride == 32


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"kernel_size": 32}, "kernel_size must be 64: got 32"),
        ({"n_filters": 63, "kernel_size": 63}, "n_filters must be even: got 63"),
        ({"stride": 33}, "stride must be an integer from 1 to 32: got 33"),
        ({"stride": 0}, "stride must be .*: got 0"),
        (
            {"fb_name": "stft", "stride": 20},
            "stride must be a divisor of the window, 64, .*: got 20",
        ),
        ({"fb_name": "torch_stft", "n_filters": 8192}, "n_filters must be .* 2 to 4096: got 8192"),
        ({"fb_name": "stft", "sample_rate": 0}, "sample_rate must be a number above 0"),
        ({"fb_name": "MelGramFB"}, "fb_name must be .*: got 'MelGramFB'"),
        ({"fb_name": "free"}, "fb_name must be an STFT, .*: got 'free', whose filters are learnt"),
        ({"fb_name": "AnalyticFreeFB"}, "fb_name must be .* whose filters are learnt"),
        ({"fb_name": "param_sinc"}, "fb_name must be .* whose filters are learnt"),
    ],
)
def test_wrong_arguments_are_named_with_their_value(kwargs, message):
    sizes = {"n_filters": 64, "kernel_size": 64}
    with pytest.raises(ValueError, match=message):
        make_enc_dec(**{"fb_name": "FFTSTFTFB", **sizes, **kwargs})


def test_too_short_to_be_reflected():
    encoder, _ = enc_dec(64, 16)
    assert encoder(torch.randn(2, 33)).shape == (2, 66, 3)
    with pytest.raises(ValueError, match="longer than .* 32 samples.*got 32"):
        encoder(torch.randn(2, 32))


def test_filters_say_where_to_go():
    with pytest.raises(NotImplementedError, match="asteroid_tfswa.filterbanks.make_enc_dec"):
        FFTSTFTFB(64, 64).filters()
