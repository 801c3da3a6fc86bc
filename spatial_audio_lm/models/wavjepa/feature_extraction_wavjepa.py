"""What WavJEPA hears of a recording: its samples, at one level, each window with mean 0 and deviation 1."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BatchFeature

from spatial_audio_lm.errors import AudioValueError, ChannelError, ConfigError
from spatial_audio_lm.features.audio_inputs import AudioInput, spatial_audios
from spatial_audio_lm.features.own_settings import OwnSettings
from spatial_audio_lm.layers.model_config import unknown_settings
from spatial_audio_lm.models.wavjepa.configuration_wavjepa import CONV_LAYERS, WavJEPAConfig
from spatial_audio_lm.models.wavjepa.windows_wavjepa import plan_windows
from spatial_audio_lm.signal.mono_choice import require_mono_choice
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

FORMATS = {1: "mono", 2: "binaural"}
LEVELS_DBFS = (-120.0, 0.0)  # least and largest of a recording's level
_EPS = 1e-5
# What transformers' extractors take and these do in one way alone, and what they write into files.
_FIXED = {"padding_value": 0.0, "padding_side": "right", "return_attention_mask": True}
_OF_FILES = ("auto_map", "feature_extractor_type", "processor_class")
_OWN = ("feature_size", "sampling_rate", "window_samples", "conv_layers", "level_dbfs")


class WavJEPAFeatureExtractor(OwnSettings):
    """Recordings of one kind and any length in, waveforms for the model out.

    The whole recording is brought to one level (root mean square over all channels), then each window of
    `window_samples` to mean 0 and deviation 1: by the mean and the (unbiased) deviation of all its channels together,
    so that what differs between the ears stays. The paper speaks of mean-centred recordings; the published code takes
    no mean off before the level is set.

    Args:
        feature_size: channels: 1, or 2 for two ears.
        sampling_rate: rate of the recordings in Hz; others are refused.
        window_samples: samples of a window; for the number see `WavJEPAConfig`.
        conv_layers: of the model; they say how long a frame is.
        level_dbfs: what the root mean square of a recording becomes, in dB below full scale. What the level does is
            nearly all undone by the windows' deviation; what is left is whether 1e-5, which is added to it, matters.
        padding_value: 0, with which shorter recordings are filled.

    Raises:
        ConfigError: values of another kind or range, that do not fit each other, or a name that is no setting.
    """

    model_input_names = ["input_values", "attention_mask"]  # noqa: RUF012

    def __init__(
        self,
        feature_size: int = 1,
        sampling_rate: int = 16_000,
        window_samples: int = 32_159,
        conv_layers: Sequence[Sequence[int]] = CONV_LAYERS,
        level_dbfs: float = -14.0,
        padding_value: float = 0.0,
        **kwargs: Any,
    ):
        if type(feature_size) is not int or feature_size not in FORMATS:
            raise ConfigError(f"feature_size is {feature_size!r}; expected 1, or 2 for two ears")
        if type(level_dbfs) not in (int, float) or not LEVELS_DBFS[0] <= level_dbfs <= LEVELS_DBFS[1]:
            raise ConfigError(
                f"level_dbfs is {level_dbfs!r}; expected a number from {LEVELS_DBFS[0]:g} to {LEVELS_DBFS[1]:g}"
            )
        if unknown := [name for name in kwargs if name not in (*_FIXED, *_OF_FILES) and not name.startswith("_")]:
            raise ConfigError(f"{type(self).__name__} has no {unknown_settings(unknown, _OWN)}")
        for name, value in (kwargs | {"padding_value": padding_value}).items():
            if name in _FIXED and value != _FIXED[name]:
                raise ConfigError(f"{name} is {value!r}; only {_FIXED[name]!r} is done here: leave it out")
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)
        self.window_samples = window_samples
        self.level_dbfs = level_dbfs
        config = WavJEPAConfig(feature_size, sampling_rate, window_samples, conv_layers)
        self.conv_layers = config.conv_layers

    @classmethod
    def for_model(cls, config: WavJEPAConfig) -> "WavJEPAFeatureExtractor":
        """The front end of a model."""
        return cls(
            feature_size=config.num_channels,
            sampling_rate=config.sampling_rate,
            window_samples=config.window_samples,
            conv_layers=config.conv_layers,
        )

    def model_config(self) -> WavJEPAConfig:
        """A configuration with the same windows and frames.

        Raises:
            ConfigError: windows and convolutions that do not fit each other.
        """
        return WavJEPAConfig(self.feature_size, self.sampling_rate, self.window_samples, self.conv_layers)

    def require_model(self, config: WavJEPAConfig) -> None:
        """Refuses a model with other windows than these.

        Raises:
            ConfigError: which setting differs.
        """
        own = self.model_config()
        for name in ("num_channels", "sampling_rate", "window_samples", "conv_layers"):
            if getattr(own, name) != getattr(config, name):
                raise ConfigError(
                    f"{name} is {getattr(own, name)} in the feature extractor and {getattr(config, name)} in the "
                    "model: use WavJEPAFeatureExtractor.for_model(model.config)"
                )

    def extract(self, windows: Tensor) -> Tensor:
        """Windows `(..., channels, samples)` with mean 0 and deviation 1, float32, without checks."""
        windows = windows.float()
        deviation, mean = torch.std_mean(windows, dim=(-2, -1), keepdim=True)
        return (windows - mean) / (deviation + _EPS)

    def gain(self, mean_square: Tensor) -> Tensor:
        """What a recording is multiplied with to have the level, from the mean square of its samples."""
        return 10.0 ** (self.level_dbfs / 20.0) * mean_square.rsqrt()

    def at_level(self, waveform: Tensor) -> Tensor:
        """A recording `(channels, samples)` at the level that all have.

        Raises:
            AudioValueError: a recording that is one number throughout.
        """
        least, most = waveform.aminmax()
        require_sound(least, most)
        # By a power of two first, which rounds nothing: float32 has no squares of very soft or very loud samples.
        exponent = int(torch.frexp(torch.maximum(-least, most)).exponent)
        waveform = waveform * 2.0 ** max(-126, min(126, -exponent))
        return waveform * self.gain(waveform.square().mean())

    def __call__(
        self,
        audio: AudioInput | list[AudioInput],
        sampling_rate: int | None = None,
        format: str | None = None,
        mono: str = "refuse",
        published_padding: bool = False,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Waveforms of one or many recordings.

        Args:
            audio: `SpatialAudio`; an array `(channels, time)`; a dictionary with `array`, `sampling_rate` and perhaps
                `format`; a path; or a list of those.
            sampling_rate: rate of bare arrays in Hz.
            format: format of bare arrays and files, where channels alone do not tell it.
            mono: what to do with a recording of one channel where the model hears two: "refuse", or "duplicate" it for
                both ears, as the published code does.
            published_padding: fill the last window of each recording with zeros before its mean and deviation are
                taken, as the published code does; the model has to be told the same.
            return_tensors: "pt" or "np".

        Returns:
            `input_values` `(batch, channels, samples)`, shorter recordings filled with zeros at the end, and
            `attention_mask` `(batch, samples)`: 1 where a sample is one of the recording.

        Raises:
            SampleRateError: another rate than `sampling_rate` of this extractor, or none.
            ChannelError: another kind of recording than the model hears.
            AudioValueError: something that is not audio, NaN or infinity, one number throughout, or shorter than a
                frame.
            ConfigError: an unknown `mono` or `return_tensors`.
        """
        if return_tensors not in ("pt", "np"):
            raise ConfigError(f"return_tensors is {return_tensors!r}; expected 'pt' or 'np'")
        clips = [self.channels_of(recording, mono) for recording in spatial_audios(audio, sampling_rate, format)]
        samples = torch.tensor([clip.shape[1] for clip in clips])
        plan_windows(self.model_config(), samples)  # refuses what is too short
        rows = [self.normal(self.at_level(clip), published_padding) for clip in clips]
        longest = max(row.shape[1] for row in rows)
        data: dict[str, Any] = {
            "input_values": torch.stack([F.pad(row, (0, longest - row.shape[1])) for row in rows]),
            "attention_mask": (torch.arange(longest) < samples[:, None]).long(),
        }
        if return_tensors == "np":
            data = {name: value.numpy() for name, value in data.items()}
        return BatchFeature(data)

    def channels_of(self, recording: SpatialAudio, mono: str = "refuse") -> Tensor:
        """The waveform `(channels, samples)` that the model hears of a recording.

        Raises:
            SampleRateError: another rate.
            ChannelError: another kind of recording.
            ConfigError: an unknown `mono`.
        """
        require_mono_choice(mono)
        wanted = FORMATS[self.feature_size]
        if recording.format == "mono" and wanted != "mono":
            if mono != "duplicate":
                raise ChannelError(
                    "audio is mono; this WavJEPA hears two ears: give a binaural recording, or say mono='duplicate' to "
                    "hear the one channel in both (without a direction)"
                )
            return recording.require(sample_rate=self.sampling_rate).waveform.expand(2, -1)
        return recording.require(format=wanted, sample_rate=self.sampling_rate).waveform

    def normal(self, waveform: Tensor, published_padding: bool = False) -> Tensor:
        """A recording `(channels, samples)` window by window; the last one as it is, or filled with zeros first."""
        if published_padding:
            waveform = F.pad(waveform, (0, -waveform.shape[1] % self.window_samples))
        parts = waveform.split(self.window_samples, dim=1)
        return torch.cat([self.extract(part) if part.shape[1] > 1 else part * 0.0 for part in parts], dim=1)


def require_sound(least: Tensor, most: Tensor) -> None:
    """Refuses a recording whose least and largest sample are the same number.

    Raises:
        AudioValueError: with that number.
    """
    if least == most:
        raise AudioValueError(
            f"all samples of the recording are {float(most):g}: its deviation is 0, and there is nothing to hear; "
            "check the file, or leave it out"
        )
