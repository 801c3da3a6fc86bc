"""Features of GRAM: log-mel spectrograms of one or two channels, or of four together with three intensities."""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BatchFeature

from spatial_audio_lm.errors import ChannelError, ConfigError
from spatial_audio_lm.features.audio_inputs import AudioInput, spatial_audios
from spatial_audio_lm.features.mel_bands import MelBlock, mel_blocks
from spatial_audio_lm.features.mel_intensity import mel_intensity_features
from spatial_audio_lm.features.own_settings import OwnSettings
from spatial_audio_lm.models.gram.configuration_gram import NUM_FEATURE_MAPS, GramConfig
from spatial_audio_lm.signal.ambisonics import FOA_CONVENTIONS, convert_foa
from spatial_audio_lm.signal.mel import mel_filters
from spatial_audio_lm.signal.mono_choice import require_mono_choice
from spatial_audio_lm.signal.spatial_audio import CHANNELS_OF_FORMAT, SpatialAudio
from spatial_audio_lm.signal.stft import stft


class GramFeatureExtractor(OwnSettings):
    """Recordings of one kind and any length in, feature maps out.

    Periodic Hann window, centred frames (the ends are reflected), HTK's mel scale without its area norm, natural
    logarithm. The window of the published code has 1024 samples, 32 ms; the paper (section 3.3) says 25 ms. Nothing is
    done about the recording's level: the published pre-training brought every clip to -14 dB (RMS) before its room,
    the published extraction does not.

    Args:
        audio_format: what is heard: "mono", "binaural" or "foa".
        channel_convention: order and gains of ambisonics inside of the model. Recordings are AmbiX, and are converted
            here (see `convert_foa`).
        log_floor: added to a band's power before the logarithm. The published floors of pre-training and extraction
            differ; `for_model` knows both.
        feature_size: mel bands.
        sampling_rate: rate of the recordings in Hz; others are refused.
        n_fft, hop_length: STFT.
        frequency_min, frequency_max: outer mel edges in Hz.
    """

    model_input_names = ["input_features", "attention_mask"]  # noqa: RUF012

    def __init__(
        self,
        audio_format: str = "binaural",
        channel_convention: str = "ambix",
        log_floor: float = 1e-5,
        feature_size: int = 128,
        sampling_rate: int = 32_000,
        n_fft: int = 1024,
        hop_length: int = 320,
        frequency_min: float = 50.0,
        frequency_max: float = 16_000.0,
        padding_value: float = 0.0,
        **kwargs: Any,
    ):
        if audio_format not in NUM_FEATURE_MAPS:
            raise ConfigError(f"audio_format is {audio_format!r}; expected one of {', '.join(NUM_FEATURE_MAPS)}")
        if channel_convention not in FOA_CONVENTIONS:
            raise ConfigError(
                f"channel_convention is {channel_convention!r}; expected one of {', '.join(FOA_CONVENTIONS)}"
            )
        if not log_floor > 0.0:
            raise ConfigError(f"log_floor is {log_floor}; expected a number above 0: silence has no logarithm")
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)
        self.audio_format = audio_format
        self.channel_convention = channel_convention
        self.log_floor = log_floor
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.frequency_min = frequency_min
        self.frequency_max = frequency_max

    @classmethod
    def for_model(cls, config: GramConfig, pretraining: bool = False) -> "GramFeatureExtractor":
        """The front end that a model was, or is to be, trained with.

        Args:
            config: of the model.
            pretraining: take the log floor of pre-training instead of that of extraction.
        """
        return cls(
            audio_format=config.audio_format,
            channel_convention=config.channel_convention,
            log_floor=config.pretraining_log_floor if pretraining else config.log_floor,
            feature_size=config.num_mel_bins,
            sampling_rate=config.sampling_rate,
            hop_length=config.hop_length,
        )

    def extract(self, waveform: Tensor) -> Tensor:
        """Feature maps of a batch of clips of one length, without checks.

        Args:
            waveform: `(batch, channels, time)` at `sampling_rate`; ambisonics as AmbiX.

        Returns:
            `(batch, maps, frames, mels)` with `1 + time // hop_length` frames, float32: the log-mel of every channel
            and, of ambisonics, the intensities of the three channels after W; all in the model's order of channels.
        """
        waveform = waveform.float()
        blocks = _blocks(self.feature_size, self.n_fft, self.sampling_rate, self.frequency_min, self.frequency_max)
        intensity = self.audio_format == "foa"
        if intensity:
            waveform = convert_foa(waveform, "ambix", self.channel_convention)
        with torch.autocast(waveform.device.type, enabled=False):
            # Clip by clip on a CPU: the spectra of one stay near its cache.
            parts = waveform.split(1) if waveform.device.type == "cpu" else [waveform]
            spectra = (stft(part, self.n_fft, self.hop_length) for part in parts)
            return torch.cat(
                [mel_intensity_features(s, blocks, self.feature_size, self.log_floor, intensity) for s in spectra]
            )

    def __call__(
        self,
        audio: AudioInput | list[AudioInput],
        sampling_rate: int | None = None,
        format: str | None = None,
        mono: str = "refuse",
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Feature maps of one or many recordings.

        Args:
            audio: `SpatialAudio`; an array `(channels, time)`; a dictionary with `array`, `sampling_rate` and perhaps
                `format`; a path; or a list of those.
            sampling_rate: rate of bare arrays in Hz.
            format: format of bare arrays and files, where channels alone do not tell it.
            mono: what to do with a recording of one channel where the model hears more: "refuse", or "duplicate" it to
                all channels, as the published code does.
            return_tensors: "pt" or "np".

        Returns:
            `input_features` `(batch, maps, frames, mels)`, shorter clips filled with zeros at the end, and
            `attention_mask` `(batch, frames)`: 1 where a frame is one of the recording.

        Raises:
            SampleRateError: another rate than `sampling_rate` of this extractor, or none.
            ChannelError: another kind of recording than the model hears.
            AudioValueError: something that is not audio, NaN or infinity, or shorter than half a window.
            ConfigError: an unknown `mono` or `return_tensors`.
        """
        if return_tensors not in ("pt", "np"):
            raise ConfigError(f"return_tensors is {return_tensors!r}; expected 'pt' or 'np'")
        clips = [self.channels_of(recording, mono) for recording in spatial_audios(audio, sampling_rate, format)]
        rows: list[Tensor] = [self.extract(clip[None])[0] for clip in clips]
        frames = torch.tensor([row.shape[1] for row in rows])
        longest = int(frames.max())
        data: dict[str, Any] = {
            "input_features": torch.stack([F.pad(row, (0, 0, 0, longest - row.shape[1])) for row in rows]),
            "attention_mask": (torch.arange(longest) < frames[:, None]).long(),
        }
        if return_tensors == "np":
            data = {name: value.numpy() for name, value in data.items()}
        return BatchFeature(data)

    def channels_of(self, recording: SpatialAudio, mono: str = "refuse") -> Tensor:
        """The waveform `(channels, samples)` that the model hears of a recording, as AmbiX if it is of ambisonics.

        Raises:
            SampleRateError: another rate.
            ChannelError: another kind of recording.
            ConfigError: an unknown `mono`.
        """
        require_mono_choice(mono)
        if recording.format == "mono" and self.audio_format != "mono":
            channels = CHANNELS_OF_FORMAT[self.audio_format]
            if mono != "duplicate":
                raise ChannelError(
                    f"audio is mono; this GRAM hears {self.audio_format} ({channels} channels): give a recording of "
                    "that kind, or say mono='duplicate' to hear the one channel in all of them (without a direction)"
                )
            recording.require(sample_rate=self.sampling_rate)
            return self._one_in_all(recording.waveform, channels)
        recording.require(format=self.audio_format, sample_rate=self.sampling_rate)
        return recording.waveform

    def _one_in_all(self, waveform: Tensor, channels: int) -> Tensor:
        """The same samples in every channel of the model, whatever order and gains it has."""
        copies = waveform.expand(channels, -1)
        return convert_foa(copies, self.channel_convention, "ambix") if self.audio_format == "foa" else copies


@lru_cache(maxsize=8)
def _blocks(num_mels: int, n_fft: int, sample_rate: int, min_hz: float, max_hz: float) -> tuple[MelBlock, ...]:
    # In float32, as torchaudio computed the filters of the published models.
    filters = mel_filters(num_mels, n_fft, sample_rate, min_hz, max_hz, scale="htk", precision=torch.float32)
    return mel_blocks(filters)
