"""Features of ELSA: a log-mel spectrogram of W and intensity vectors of all four channels.

Full size (the defaults): CLAP's log-mel in absolute decibels at 48 kHz, and unit-norm intensity vectors on linear bins
at 16 kHz, of exactly ten seconds. Compact (`ElsaFeatureExtractor.compact()`): both at 16 kHz on one common STFT, clips
of any length, and nothing that depends on the recording's gain.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BatchFeature, SequenceFeatureExtractor

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.features.audio_inputs import AudioInput, spatial_audios
from spatial_audio_lm.features.intensity import count_spatial_channels, intensity_features
from spatial_audio_lm.features.log_mel import cached_mel_filters, decibels, level_free_decibels, mel_power
from spatial_audio_lm.signal.intensity_direction import no_direction_reason
from spatial_audio_lm.signal.resampling import resample
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.signal.stft import stft


class ElsaFeatureExtractor(SequenceFeatureExtractor):
    """First-order ambisonics (AmbiX) or mono in, network inputs out.

    Clips shorter than `min_length_s` are repeated a whole number of times and the rest is filled with zeros, as CLAP's
    "repeatpad" does, all channels alike. Clips longer than `max_length_s` are cropped, once, for both features alike:
    at the place `crop` says, or at a random one if a generator is passed to the call.

    Mono is copied to four channels, as in the paper, and marked by `is_spatial` False; so is a recording whose four
    channels hold no direction (copies of each other, silence).

    Args:
        feature_size: mel bands of the log-mel spectrogram.
        sampling_rate: rate of the recordings in Hz; others are refused.
        n_fft, hop_length: STFT of the log-mel spectrogram, periodic Hann window, centred frames.
        frequency_min, frequency_max: its outer mel edges in Hz (Slaney's scale and norm).
        level_free: remove the clip's level from it (see features/log_mel.py); False: absolute decibels, as CLAP.
        spatial_sampling_rate, spatial_n_fft, spatial_hop_length: STFT of the intensity vectors; the recording is
            resampled to that rate after cropping.
        spatial_channels: channels by name (see features/intensity.py).
        spatial_bands: mel bands of the intensity vectors, None for linear bins.
        spatial_frequency_min: lower edge of those bands in Hz.
        dynamic_range_db: depth of level-free spectrograms and of intensity vectors below the clip's mean.
        min_length_s, max_length_s: see above; None: no limit.
        crop: "start" or "center".
    """

    model_input_names = ["input_features", "spatial_features", "audio_attention_mask", "is_spatial"]  # noqa: RUF012

    def __init__(
        self,
        feature_size: int = 64,
        sampling_rate: int = 48_000,
        n_fft: int = 1024,
        hop_length: int = 480,
        frequency_min: float = 50.0,
        frequency_max: float = 14_000.0,
        level_free: bool = False,
        spatial_sampling_rate: int = 16_000,
        spatial_n_fft: int = 512,
        spatial_hop_length: int = 100,
        spatial_channels: list[str] | tuple[str, ...] = ("unit_active", "unit_reactive"),
        spatial_bands: int | None = None,
        spatial_frequency_min: float = 100.0,
        dynamic_range_db: float = 80.0,
        min_length_s: float | None = 10.0,
        max_length_s: float | None = 10.0,
        crop: str = "center",
        padding_value: float = 0.0,
        **kwargs: Any,
    ):
        if crop not in ("start", "center"):
            raise ConfigError(f"crop is {crop!r}; expected 'start' or 'center' (or pass a generator to the call)")
        if min_length_s is not None and max_length_s is not None and min_length_s > max_length_s:
            raise ConfigError(f"min_length_s {min_length_s} is greater than max_length_s {max_length_s}")
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.frequency_min = frequency_min
        self.frequency_max = frequency_max
        self.level_free = level_free
        self.spatial_sampling_rate = spatial_sampling_rate
        self.spatial_n_fft = spatial_n_fft
        self.spatial_hop_length = spatial_hop_length
        self.spatial_channels = list(spatial_channels)
        self.spatial_bands = spatial_bands
        self.spatial_frequency_min = spatial_frequency_min
        self.dynamic_range_db = dynamic_range_db
        self.min_length_s = min_length_s
        self.max_length_s = max_length_s
        self.crop = crop
        count_spatial_channels(self.spatial_channels)
        fixed_length = max_length_s is not None and max_length_s == min_length_s
        if not fixed_length and sampling_rate * spatial_hop_length != spatial_sampling_rate * hop_length:
            raise ConfigError(
                f"hops of {hop_length} at {sampling_rate} Hz and {spatial_hop_length} at {spatial_sampling_rate} Hz "
                "give different frame rates; that needs clips of one length (min_length_s = max_length_s)"
            )

    @classmethod
    def compact(cls, **overrides: Any) -> "ElsaFeatureExtractor":
        """Features of the small model of the package (`ElsaConfig.compact`)."""
        settings: dict[str, Any] = {
            "sampling_rate": 16_000,
            "n_fft": 512,
            "hop_length": 320,
            "frequency_max": 8_000.0,
            "level_free": True,
            "spatial_hop_length": 320,
            "spatial_channels": ["active", "reactive", "log_energy"],
            "spatial_bands": 32,
            "min_length_s": 4.0,
            "max_length_s": None,
        }
        return cls(**(settings | overrides))

    @property
    def _one_stft(self) -> bool:
        mel = (self.sampling_rate, self.n_fft, self.hop_length)
        return mel == (self.spatial_sampling_rate, self.spatial_n_fft, self.spatial_hop_length)

    def extract(self, waveform: Tensor) -> dict[str, Tensor]:
        """Features of a batch of FOA recordings of one length, without padding, cropping or checks.

        Args:
            waveform: W, Y, Z, X at `sampling_rate`, `(batch, 4, time)`, float32.

        Returns:
            `input_features` `(batch, 1, frames, mels)` and `spatial_features` `(batch, channels, frames, bands)`.
        """
        # On a CPU a few clips at a time stay in its cache: three times faster than the whole batch at once.
        parts = waveform.split(4) if waveform.device.type == "cpu" else [waveform]
        features = [self._extract(part) for part in parts]
        return {name: torch.cat([part[name] for part in features]) for name in features[0]}

    def _extract(self, waveform: Tensor) -> dict[str, Tensor]:
        filters = cached_mel_filters(
            self.feature_size, self.n_fft, self.sampling_rate, self.frequency_min, self.frequency_max
        )
        if self._one_stft:
            spectrum = stft(waveform, self.n_fft, self.hop_length)
            omni = spectrum[:, 0]
        else:
            omni = stft(waveform[:, 0], self.n_fft, self.hop_length)
            slow = resample(waveform, self.sampling_rate, self.spatial_sampling_rate)
            spectrum = stft(slow, self.spatial_n_fft, self.spatial_hop_length)
        power = mel_power(omni, filters)
        log_mel = level_free_decibels(power, self.dynamic_range_db) if self.level_free else decibels(power)
        bands = None
        if self.spatial_bands is not None:
            edges = (self.spatial_frequency_min, self.spatial_sampling_rate / 2)
            bands = cached_mel_filters(
                self.spatial_bands, self.spatial_n_fft, self.spatial_sampling_rate, *edges, norm=None
            )
        spatial = intensity_features(spectrum, self.spatial_channels, bands, self.dynamic_range_db)
        return {"input_features": log_mel[:, None], "spatial_features": spatial}

    def fit_length(self, waveform: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Repeat a short recording to `min_length_s`, crop a long one to `max_length_s`.

        Args:
            waveform: `(channels, time)`.
            generator: chooses the crop; None: the place that `crop` says.

        Returns:
            `(channels, time)`.
        """
        time = waveform.shape[-1]
        longest = None if self.max_length_s is None else round(self.max_length_s * self.sampling_rate)
        if longest is not None and time > longest:
            spare = time - longest
            if generator is not None:
                start = int(torch.randint(spare + 1, (), generator=generator))
            else:
                start = 0 if self.crop == "start" else spare // 2
            return waveform[:, start : start + longest]
        shortest = 0 if self.min_length_s is None else round(self.min_length_s * self.sampling_rate)
        if time < shortest:
            waveform = waveform.repeat(1, shortest // time)
            waveform = F.pad(waveform, (0, shortest - waveform.shape[-1]))
        return waveform

    def __call__(
        self,
        audio: AudioInput | list[AudioInput],
        sampling_rate: int | None = None,
        format: str | None = None,
        generator: torch.Generator | None = None,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Features of one or many recordings.

        Args:
            audio: `SpatialAudio`; an array `(channels, time)`; a dictionary with `array`, `sampling_rate` and perhaps
                `format`; a path; or a list of those.
            sampling_rate: rate of bare arrays in Hz.
            format: format of bare arrays and files, where channels alone do not tell it.
            generator: makes crops random.
            return_tensors: "pt" or "np".

        Returns:
            `input_features` `(batch, 1, frames, mels)`, `spatial_features` `(batch, channels, frames, bands)`,
            `is_spatial` `(batch,)`, and, when the clips differ in length, `audio_attention_mask` `(batch, frames)`.

        Raises:
            SampleRateError: another rate than `sampling_rate` of this extractor, or none.
            ChannelError: neither mono nor first-order ambisonics.
            AudioValueError: something that is not audio.
        """
        recordings = spatial_audios(audio, sampling_rate, format)
        clips = [self.fit_length(self._four_channels(recording), generator) for recording in recordings]
        is_spatial = [no_direction_reason(recording) is None for recording in recordings]
        # Clips of one length go through the transform together; each clip's level is its own in any case.
        features: dict[int, dict[str, Tensor]] = {}
        for length in sorted({clip.shape[-1] for clip in clips}):
            members = [index for index, clip in enumerate(clips) if clip.shape[-1] == length]
            batch = self.extract(torch.stack([clips[index] for index in members]))
            for row, index in enumerate(members):
                features[index] = {name: value[row] for name, value in batch.items()}
        frames = [features[index]["input_features"].shape[1] for index in range(len(clips))]
        data: dict[str, Any] = {}
        for name in ("input_features", "spatial_features"):
            rows = [features[index][name] for index in range(len(clips))]
            longest = max(row.shape[1] for row in rows)
            data[name] = torch.stack([F.pad(row, (0, 0, 0, longest - row.shape[1])) for row in rows])
        if len(set(frames)) > 1:
            data["audio_attention_mask"] = (torch.arange(max(frames)) < torch.tensor(frames)[:, None]).long()
        data["is_spatial"] = torch.tensor(is_spatial)
        if return_tensors == "np":
            data = {name: value.numpy() for name, value in data.items()}
        elif return_tensors != "pt":
            raise ConfigError(f"return_tensors is {return_tensors!r}; expected 'pt' or 'np'")
        return BatchFeature(data)

    def _four_channels(self, recording: SpatialAudio) -> Tensor:
        recording.require(format=("foa", "mono"), sample_rate=self.sampling_rate)
        if recording.format == "mono":
            return recording.waveform.expand(4, -1)
        return recording.waveform
