"""Spectrograms against scipy and torch, mel scales against their published values, all against the reference."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch

from rayformers import audio_utils as ours
from rayformers.errors import ConfigError, InputError

WAVE = np.random.default_rng(0).standard_normal(700).astype(np.float32)
WINDOW = ours.window_function(64, "hann")


@pytest.mark.parametrize("name", ["hann", "hamming", "boxcar"])
@pytest.mark.parametrize("periodic", [True, False])
def test_windows_are_those_of_scipy(name: str, periodic: bool) -> None:
    expected = scipy.signal.get_window(name, 21, fftbins=periodic)
    np.testing.assert_allclose(ours.window_function(21, name, periodic=periodic), expected, atol=1e-12)


def test_a_window_in_a_longer_frame() -> None:
    window = ours.window_function(4, "boxcar", frame_length=7)
    assert window.tolist() == [0, 1, 1, 1, 1, 0, 0]
    assert ours.window_function(4, "boxcar", frame_length=7, center=False).tolist() == [1, 1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("fft_length", [64, 128])
def test_the_spectrum_is_torchs(center: bool, fft_length: int) -> None:
    got = ours.spectrogram(WAVE, WINDOW, 64, 20, fft_length=fft_length, center=center, power=2.0)
    padded = np.pad(WAVE, 32, mode="reflect") if center else WAVE
    frames = torch.from_numpy(padded.astype(np.float64)).unfold(0, 64, 20) * torch.from_numpy(WINDOW)
    expected = torch.fft.rfft(frames, n=fft_length).abs().square().T
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_many_frames_are_those_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    from rayformers.processing import audio_utils

    whole = ours.spectrogram(WAVE, WINDOW, 64, 1)
    monkeypatch.setattr(audio_utils, "_FRAMES_AT_ONCE", 7)
    np.testing.assert_array_equal(ours.spectrogram(WAVE, WINDOW, 64, 1), whole)


@pytest.mark.parametrize("scale", ["htk", "kaldi", "slaney"])
def test_scales_have_an_inverse_and_a_known_point(scale: str) -> None:
    hertz = np.array([0.0, 50.0, 999.0, 1000.0, 1001.0, 7999.0])
    mels = ours.hertz_to_mel(hertz, scale)
    np.testing.assert_allclose(ours.mel_to_hertz(mels, scale), hertz, atol=1e-9)
    assert ours.hertz_to_mel(1000.0, scale) == pytest.approx(15.0 if scale == "slaney" else 1000.0, rel=1e-3)
    assert isinstance(ours.hertz_to_mel(1000.0, scale), float)


def test_slaneys_filters_have_one_area() -> None:
    filters = ours.mel_filter_bank(2049, 10, 100.0, 7000.0, 16000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(filters.sum(axis=0) * 8000 / 2048, 1.0, rtol=1e-2)
    with pytest.warns(UserWarning, match="all zero"):
        ours.mel_filter_bank(9, 40, 0.0, 8000.0, 16000)


def test_decibels() -> None:
    power = np.array([[1.0, 100.0], [1e-12, 10.0]])
    np.testing.assert_allclose(ours.power_to_db(power), [[0, 20], [-100, 10]])
    np.testing.assert_allclose(ours.power_to_db(power, db_range=15.0), [[5, 20], [5, 10]])
    np.testing.assert_allclose(ours.amplitude_to_db(power, reference=10.0), [[-20, 20], [-120, 0]])
    batch = ours.power_to_db_batch(np.stack([power, power * 10]), db_range=15.0)
    np.testing.assert_allclose(batch[1], batch[0] + 10)


def test_chroma_finds_the_pitch() -> None:
    time = np.arange(8192) / 8192
    spectrum = np.abs(np.fft.fft(np.sin(2 * np.pi * 440 * time)))
    filters = ours.chroma_filter_bank(8192, 12, 8192)
    assert np.argmax(filters @ spectrum[: filters.shape[1]]) == 9  # A, counted from C


@pytest.mark.parametrize(("length", "expected"), [(1, 1), (2, 2), (3, 4), (400, 512), (512, 512), (513, 1024)])
def test_optimal_fft_length(length: int, expected: int) -> None:
    assert ours.optimal_fft_length(length) == expected


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hop_length": 0}, "hop_length is 0"),
        ({"fft_length": 32}, "larger than fft_length 32"),
        ({"power": None, "mel_filters": np.ones((33, 4))}, "mel_filters"),
        ({"log_mel": "ln"}, "'log', 'log10', 'dB'"),
        ({"log_mel": "dB", "power": 3.0}, "power=3.0"),
        ({"log_mel": "dB", "reference": 0.0}, "reference is 0.0"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ours.spectrogram(WAVE, WINDOW, **{"frame_length": 64, "hop_length": 20, **settings})


def test_wrong_waveforms() -> None:
    for wave, words in ((WAVE[None], "mono"), (WAVE * 1j, "complex"), (WAVE[:9], "Pad it")):
        with pytest.raises(InputError, match=words):
            ours.spectrogram(wave, WINDOW, 64, 20, center=False)
    with pytest.raises(ConfigError, match="'barks'"):
        ours.hertz_to_mel(1.0, "barks")
    with pytest.raises(ConfigError, match="'kaiser'"):
        ours.window_function(5, "kaiser")


def test_equal_to_the_reference() -> None:
    theirs = pytest.importorskip("transformers.audio_utils")
    for scale, norm, mel_space in itertools.product(("htk", "kaldi", "slaney"), (None, "slaney"), (True, False)):
        arguments = (129, 20, 30.0, 7000.0, 16000, norm, scale, mel_space)
        np.testing.assert_allclose(ours.mel_filter_bank(*arguments), theirs.mel_filter_bank(*arguments), atol=1e-9)
    filters = ours.mel_filter_bank(33, 5, 0.0, 4000.0, 8000)
    options = {
        "pad_mode": ("reflect", "constant"), "preemphasis": (None, 0.97), "remove_dc_offset": (True, False),
        "log_mel": (None, "log", "log10", "dB"), "db_range": (None, 30.0), "power": (1.0, 2.0),
    }  # fmt: skip
    for values in itertools.product(*options.values()):
        settings: Any = {**dict(zip(options, values, strict=True)), "mel_filters": filters}
        got, expected = (m.spectrogram(WAVE, WINDOW, 64, 20, **settings) for m in (ours, theirs))
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
        assert got.dtype == expected.dtype
    settings = {"power": 2.0, "log_mel": "log10", "mel_filters": filters, "preemphasis": 0.9}
    calls = [module.spectrogram_batch([WAVE, WAVE[:300]], WINDOW, 64, 20, **settings) for module in (ours, theirs)]
    for got, expected in zip(*calls, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
