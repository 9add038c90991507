"""Spectrograms and mel scales as numpy arrays (guide: internal/audio_utils).

Shape letters: T samples, F frames, N frequency bins, M filters.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from ..errors import ConfigError, InputError

Frequencies = TypeVar("Frequencies", float, np.ndarray)

# Slaney's scale (Auditory Toolbox, 1998) is linear up to 1000 Hz = 15 mel, then logarithmic: 27 mel make a factor 6.4.
_SLANEY_HZ_PER_MEL = 200.0 / 3.0
_SLANEY_BREAK_HZ, _SLANEY_BREAK_MEL = 1000.0, 15.0
_SLANEY_LOG_STEP = np.log(6.4) / 27.0
_FRAMES_AT_ONCE = 4096
"""Frames that are copied and transformed together: an hour of speech must not need gigabytes."""
_SCALES = ("htk", "kaldi", "slaney")


def _check_scale(mel_scale: str) -> None:
    if mel_scale not in _SCALES:
        raise ConfigError(f"mel_scale is {mel_scale!r}; allowed: {', '.join(map(repr, _SCALES))}.")


def _like(given: Any, result: np.ndarray) -> Any:
    return result if isinstance(given, np.ndarray) else result[()]


def hertz_to_mel(freq: Frequencies, mel_scale: str = "htk") -> Frequencies:
    """Frequencies in hertz on the mel scale "htk", "kaldi" (both O'Shaughnessy's) or "slaney".

    Raises:
        ConfigError: no such scale.
    """
    _check_scale(mel_scale)
    hertz = np.asarray(freq, dtype=np.float64)
    if mel_scale == "htk":
        return _like(freq, 2595.0 * np.log10(1.0 + hertz / 700.0))
    if mel_scale == "kaldi":
        return _like(freq, 1127.0 * np.log1p(hertz / 700.0))
    above = _SLANEY_BREAK_MEL + np.log(np.maximum(hertz, _SLANEY_BREAK_HZ) / _SLANEY_BREAK_HZ) / _SLANEY_LOG_STEP
    return _like(freq, np.where(hertz < _SLANEY_BREAK_HZ, hertz / _SLANEY_HZ_PER_MEL, above))


def mel_to_hertz(mels: Frequencies, mel_scale: str = "htk") -> Frequencies:
    """The inverse of `hertz_to_mel`.

    Raises:
        ConfigError: no such scale.
    """
    _check_scale(mel_scale)
    values = np.asarray(mels, dtype=np.float64)
    if mel_scale == "htk":
        return _like(mels, 700.0 * (10.0 ** (values / 2595.0) - 1.0))
    if mel_scale == "kaldi":
        return _like(mels, 700.0 * np.expm1(values / 1127.0))
    above = _SLANEY_BREAK_HZ * np.exp(_SLANEY_LOG_STEP * (np.maximum(values, _SLANEY_BREAK_MEL) - _SLANEY_BREAK_MEL))
    return _like(mels, np.where(values < _SLANEY_BREAK_MEL, values * _SLANEY_HZ_PER_MEL, above))


def hertz_to_octave(freq: Frequencies, tuning: float = 0.0, bins_per_octave: int = 12) -> Frequencies:
    """Octaves above 27.5 Hz, the lowest A, for an instrument tuned `tuning` bins away from 440 Hz."""
    lowest_hz = 440.0 * 2.0 ** (tuning / bins_per_octave) / 16.0
    return _like(freq, np.log2(np.asarray(freq, dtype=np.float64) / lowest_hz))


def mel_filter_bank(
    num_frequency_bins: int,
    num_mel_filters: int,
    min_frequency: float,
    max_frequency: float,
    sampling_rate: int,
    norm: str | None = None,
    mel_scale: str = "htk",
    triangularize_in_mel_space: bool = False,
) -> np.ndarray:
    """Overlapping triangular filters, equally spaced on a mel scale: [N, M].

    Args:
        num_frequency_bins: N, bins of a spectrum from 0 to half the sampling rate.
        num_mel_filters: M.
        min_frequency, max_frequency: ends of the lowest and the highest filter, in hertz.
        sampling_rate: samples a second.
        norm: "slaney" gives all filters the same area; None the same height.
        mel_scale: "htk", "kaldi" or "slaney".
        triangularize_in_mel_space: the filters' sides are straight on the mel scale instead of in hertz.

    Raises:
        ConfigError: a setting is out of its range.
    """
    if norm not in (None, "slaney"):
        raise ConfigError(f"norm is {norm!r}; allowed: None, 'slaney'.")
    if num_frequency_bins < 2:
        raise ConfigError(f"num_frequency_bins is {num_frequency_bins}; a spectrum has at least 2.")
    if min_frequency > max_frequency:
        raise ConfigError(f"min_frequency {min_frequency} Hz is above max_frequency {max_frequency} Hz.")
    ends = [hertz_to_mel(float(hertz), mel_scale) for hertz in (min_frequency, max_frequency)]
    corners = np.linspace(ends[0], ends[1], num_mel_filters + 2)
    if triangularize_in_mel_space:
        step_hz = sampling_rate / (2 * (num_frequency_bins - 1))
        bins = hertz_to_mel(step_hz * np.arange(num_frequency_bins), mel_scale)
    else:
        corners = mel_to_hertz(corners, mel_scale)
        bins = np.linspace(0, sampling_rate // 2, num_frequency_bins)
    filters = _triangles(bins, corners)
    if norm == "slaney":
        filters *= 2.0 / (corners[2:] - corners[:-2])
    empty = int((filters.max(axis=0) == 0.0).sum())
    if empty:
        warnings.warn(
            f"{empty} of the {num_mel_filters} mel filters lie between two frequency bins and are all zero. "
            f"Use fewer filters, or more than {num_frequency_bins} frequency bins.",
            stacklevel=2,
        )
    return filters


def _triangles(bins: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """[N, M]: filter m rises from corner m to 1 at corner m + 1 and falls to corner m + 2."""
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    at = bins[:, None]
    return np.maximum(0.0, np.minimum((at - low) / (middle - low), (high - at) / (high - middle)))


def chroma_filter_bank(
    num_frequency_bins: int,
    num_chroma: int,
    sampling_rate: int,
    tuning: float = 0.0,
    power: float | None = 2.0,
    weighting_parameters: tuple[float, float] | None = (5.0, 2.0),
    start_at_c_chroma: bool = True,
) -> np.ndarray:
    """Filters that gather the octaves of each pitch class (Ellis 2007): [num_chroma, N // 2 + 1].

    Args:
        num_frequency_bins: N, bins from 0 to the sampling rate.
        num_chroma: pitch classes of an octave.
        sampling_rate: samples a second.
        tuning: distance from 440 Hz in pitch classes.
        power: each bin's filters get the norm 1 of this order; None leaves them.
        weighting_parameters: centre and half width in octaves of a bell that favours middle octaves; None weights none.
        start_at_c_chroma: the first class is C; else A.
    """
    hertz = np.linspace(0, sampling_rate, num_frequency_bins, endpoint=False)[1:]
    pitches = num_chroma * hertz_to_octave(hertz, tuning, num_chroma)
    pitches = np.concatenate(([pitches[0] - 1.5 * num_chroma], pitches))  # 0 Hz has no octave: put it below the first
    widths = np.concatenate((np.maximum(np.diff(pitches), 1.0), [1.0]))
    half = np.round(num_chroma / 2)
    distance = np.remainder(pitches - np.arange(num_chroma)[:, None] + half + 10 * num_chroma, num_chroma) - half
    filters = np.exp(-0.5 * (2 * distance / widths) ** 2)
    if power is not None:
        filters /= np.sum(filters**power, axis=0, keepdims=True) ** (1.0 / power)
    if weighting_parameters is not None:
        center, half_width = weighting_parameters
        filters *= np.exp(-0.5 * ((pitches / num_chroma - center) / half_width) ** 2)
    if start_at_c_chroma:
        filters = np.roll(filters, -3 * (num_chroma // 12), axis=0)
    return np.ascontiguousarray(filters[:, : int(1 + num_frequency_bins / 2)])


def optimal_fft_length(window_length: int) -> int:
    """The smallest power of two that is not below `window_length`."""
    if window_length < 1:
        raise ConfigError(f"window_length is {window_length}; a window has at least 1 sample.")
    return 1 << (window_length - 1).bit_length()


def window_function(
    window_length: int,
    name: str = "hann",
    periodic: bool = True,
    frame_length: int | None = None,
    center: bool = True,
) -> np.ndarray:
    """A window [window_length], or [frame_length] padded with zeros.

    Args:
        window_length: samples of the window.
        name: "boxcar", "hamming", "hann" or "povey" (Kaldi's: hann to the power 0.85).
        periodic: one period of the window rather than a symmetric one.
        frame_length: samples of the result; not below `window_length`.
        center: put the window in the middle of the frame, else at its start.

    Raises:
        ConfigError: no such window, or the frame is too short.
    """
    shape = name.removesuffix("_window")
    length = window_length + 1 if periodic else window_length
    if shape == "boxcar":
        window = np.ones(length)
    elif shape == "hamming":
        window = np.hamming(length)
    elif shape in ("hann", "povey"):
        window = np.hanning(length) ** (0.85 if shape == "povey" else 1.0)
    else:
        raise ConfigError(f"Unknown window {name!r}; allowed: 'boxcar', 'hamming', 'hann', 'povey'.")
    window = window[:window_length]
    if frame_length is None:
        return window
    if window_length > frame_length:
        raise ConfigError(f"The window has {window_length} samples, more than frame_length {frame_length}.")
    missing = frame_length - window_length
    before = missing // 2 if center else 0
    return np.pad(window, (before, missing - before))


def spectrogram(
    waveform: np.ndarray,
    window: np.ndarray,
    frame_length: int,
    hop_length: int,
    fft_length: int | None = None,
    power: float | None = 1.0,
    center: bool = True,
    pad_mode: str = "reflect",
    onesided: bool = True,
    dither: float = 0.0,
    preemphasis: float | None = None,
    mel_filters: np.ndarray | None = None,
    mel_floor: float = 1e-10,
    log_mel: str | None = None,
    reference: float = 1.0,
    min_value: float = 1e-10,
    db_range: float | None = None,
    remove_dc_offset: bool = False,
    dtype: Any = np.float32,
) -> np.ndarray:
    """The short-time Fourier transform of [T]: [N, F], or [M, F] with mel filters.

    Args:
        waveform: real samples.
        window: [frame_length], such as `window_function` makes.
        frame_length, hop_length: samples of a frame, and between the starts of two frames.
        fft_length: samples that are transformed, padded with zeros; default `frame_length`.
        power: 1 amplitudes, 2 powers, None the complex spectrum.
        center, pad_mode: pad both ends by half a frame (a mode of `numpy.pad`), so that frames are centred.
        onesided: only the frequencies from 0 to half the sampling rate.
        dither: standard deviation of noise that is added to every frame.
        preemphasis: share of each previous sample that is subtracted.
        mel_filters, mel_floor: filters [N, M], and the lowest value after them.
        log_mel: "log", "log10" or "dB" (with power 1 or 2); None leaves the values.
        reference, min_value, db_range: as in `power_to_db`.
        remove_dc_offset: subtract every frame's mean.
        dtype: of the result where `log_mel` is given; else float64, or complex64.

    Raises:
        ConfigError: settings that do not fit each other. InputError: the waveform cannot be used.
    """
    fft_length = _checked_lengths(window, frame_length, hop_length, fft_length, power, mel_filters)
    samples = _padded(waveform, frame_length if center else 0, pad_mode).astype(np.float64)
    if samples.size < frame_length:
        raise InputError(f"The waveform has {samples.size} samples, less than one frame of {frame_length}. Pad it.")
    views = np.lib.stride_tricks.sliding_window_view(samples, frame_length)[::hop_length]
    transform = np.fft.rfft if onesided else np.fft.fft
    spectrum = np.empty((len(views), fft_length // 2 + 1 if onesided else fft_length), dtype=np.complex64)
    for start in range(0, len(views), _FRAMES_AT_ONCE):
        frames = _prepared(views[start : start + _FRAMES_AT_ONCE], window, dither, preemphasis, remove_dc_offset)
        spectrum[start : start + _FRAMES_AT_ONCE] = transform(frames, n=fft_length)
    if power is None:
        return spectrum.T
    values = (np.abs(spectrum, dtype=np.float64) ** power).T
    if mel_filters is not None:
        values = np.maximum(mel_floor, mel_filters.T @ values)
    return (
        values if log_mel is None else _logarithm(values, log_mel, power, reference, min_value, db_range).astype(dtype)
    )


def _prepared(
    views: np.ndarray, window: np.ndarray, dither: float, preemphasis: float | None, remove_dc_offset: bool
) -> np.ndarray:
    frames = views.copy()
    if dither != 0.0:
        frames += dither * np.random.randn(*frames.shape)
    if remove_dc_offset:
        frames -= frames.mean(axis=1, keepdims=True)
    if preemphasis is not None:
        frames[:, 1:] -= preemphasis * frames[:, :-1]
        frames[:, 0] *= 1 - preemphasis
    frames *= window.astype(np.float64)
    return frames


def _checked_lengths(
    window: np.ndarray,
    frame_length: int,
    hop_length: int,
    fft_length: int | None,
    power: float | None,
    mel_filters: np.ndarray | None,
) -> int:
    fft_length = frame_length if fft_length is None else fft_length
    if frame_length > fft_length:
        raise ConfigError(f"frame_length {frame_length} is larger than fft_length {fft_length}.")
    if len(window) != frame_length:
        raise ConfigError(f"The window has {len(window)} samples; it must have frame_length, {frame_length}.")
    if hop_length <= 0:
        raise ConfigError(f"hop_length is {hop_length}; it must be at least 1.")
    if power is None and mel_filters is not None:
        raise ConfigError("mel_filters apply to amplitudes or powers: give power=1 or 2, not None.")
    return fft_length


def _padded(waveform: np.ndarray, frame_length: int, mode: str) -> np.ndarray:
    if waveform.ndim != 1:
        raise InputError(f"The waveform has the shape {waveform.shape}; expected one dimension. Mix it down to mono.")
    if np.iscomplexobj(waveform):
        raise InputError("The waveform is complex; expected real samples.")
    half = frame_length // 2
    return np.pad(waveform, half, mode=mode) if half else waveform  # type: ignore[call-overload]


def _logarithm(
    values: np.ndarray, kind: str, power: float, reference: float, min_value: float, db_range: float | None
) -> np.ndarray:
    if kind == "log":
        return np.log(values)
    if kind == "log10":
        return np.log10(values)
    if kind != "dB":
        raise ConfigError(f"log_mel is {kind!r}; allowed: None, 'log', 'log10', 'dB'.")
    if power not in (1.0, 2.0):
        raise ConfigError(f"log_mel='dB' needs amplitudes (power=1) or powers (power=2), not power={power}.")
    convert = amplitude_to_db if power == 1.0 else power_to_db
    return convert(values, reference, min_value, db_range)


def spectrogram_batch(
    waveform_list: Sequence[np.ndarray], window: np.ndarray, frame_length: int, hop_length: int, **settings: Any
) -> list[np.ndarray]:
    """`spectrogram` of each waveform, whatever their lengths.

    The range `db_range` is counted from each waveform's own maximum.
    """
    return [spectrogram(waveform, window, frame_length, hop_length, **settings) for waveform in waveform_list]


def power_to_db(
    spectrogram: np.ndarray, reference: float = 1.0, min_value: float = 1e-10, db_range: float | None = None
) -> np.ndarray:
    """Powers in decibels: 10 log10(value / reference).

    Args:
        spectrogram: powers.
        reference: the power of 0 dB.
        min_value: smaller values count as this.
        db_range: nothing lies more than so many dB below the maximum.

    Raises:
        ConfigError: one of the three is not positive.
    """
    return _decibels(spectrogram, 10.0, reference, min_value, db_range, None)


def power_to_db_batch(
    spectrogram: np.ndarray, reference: float = 1.0, min_value: float = 1e-10, db_range: float | None = None
) -> np.ndarray:
    """`power_to_db` of [B, ., .], each with its own maximum."""
    return _decibels(spectrogram, 10.0, reference, min_value, db_range, (1, 2))


def amplitude_to_db(
    spectrogram: np.ndarray, reference: float = 1.0, min_value: float = 1e-5, db_range: float | None = None
) -> np.ndarray:
    """Amplitudes in decibels: 20 log10(value / reference). The arguments are those of `power_to_db`."""
    return _decibels(spectrogram, 20.0, reference, min_value, db_range, None)


def amplitude_to_db_batch(
    spectrogram: np.ndarray, reference: float = 1.0, min_value: float = 1e-5, db_range: float | None = None
) -> np.ndarray:
    """`amplitude_to_db` of [B, ., .], each with its own maximum."""
    return _decibels(spectrogram, 20.0, reference, min_value, db_range, (1, 2))


def _decibels(
    values: np.ndarray,
    factor: float,
    reference: float,
    min_value: float,
    db_range: float | None,
    axes: tuple[int, ...] | None,
) -> np.ndarray:
    for name, value in (("reference", reference), ("min_value", min_value), ("db_range", db_range)):
        if value is not None and value <= 0.0:
            raise ConfigError(f"{name} is {value}; it must be greater than 0.")
    decibels = factor * (np.log10(np.maximum(values, min_value)) - np.log10(max(min_value, reference)))
    return decibels if db_range is None else np.maximum(decibels, decibels.max(axis=axes, keepdims=True) - db_range)
