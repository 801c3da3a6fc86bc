"""Features of Audio-MAE: Kaldi's log-mel filter bank, brought to the scale of a data set."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BatchFeature

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.features.audio_inputs import AudioInput, spatial_audios
from spatial_audio_lm.features.kaldi_fbank import frame_samples, kaldi_fbank
from spatial_audio_lm.features.long_audio import clips_of, require_long_audio
from spatial_audio_lm.features.own_settings import OwnSettings

# Mean and deviation of the filter bank over a data set, and the frames of its clips, as the published scripts have
# them. Speech Commands is both of the paper's SPC tasks.
PUBLISHED_SCALES: dict[str, dict[str, Any]] = {
    "audioset": {"mean": -4.2677393, "std": 4.5689974, "num_frames": 1024},
    "esc50": {"mean": -6.6268077, "std": 5.358466, "num_frames": 512},
    "speech_commands": {"mean": -6.845978, "std": 5.5654526, "num_frames": 128},
}


class AudioMAEFeatureExtractor(OwnSettings):
    """Mono recordings at 16 kHz in, one spectrogram of `num_frames` frames out.

    As published: a shorter clip's filter bank is filled with rows of 0 *before* it is normalised, (x - mean) / (2 std),
    so that the filling is 0.467 at the default scale, a loud frame rather than a silent one (silence is -1.278).

    Source: the paper's section 4.2; mean, deviation and filling from the published code.

    Args:
        feature_size: mel bands.
        sampling_rate: rate of the recordings in Hz; others are refused.
        num_frames: frames of every spectrogram: 1024 are 10.24 s. A model takes as many as it was built for, or fewer.
        mean, std: of the raw filter bank over the data set; the defaults are AudioSet's. A model hears well only with
            the numbers it was trained with, so a model begun from AudioSet's weights on other data may take theirs.
    """

    model_input_names = ["input_features"]  # noqa: RUF012

    def __init__(
        self,
        feature_size: int = 128,
        sampling_rate: int = 16_000,
        num_frames: int = 1024,
        mean: float = PUBLISHED_SCALES["audioset"]["mean"],
        std: float = PUBLISHED_SCALES["audioset"]["std"],
        padding_value: float = 0.0,
        **kwargs: Any,
    ):
        if num_frames < 1 or not std > 0:
            raise ConfigError(f"num_frames is {num_frames}, std {std}; expected 1 or more, and a number above 0")
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)
        self.num_frames = num_frames
        self.mean = mean
        self.std = std

    @classmethod
    def published(cls, data: str) -> "AudioMAEFeatureExtractor":
        """The published front end of a data set: "audioset", "esc50" or "speech_commands".

        Raises:
            ConfigError: another data set.
        """
        if data not in PUBLISHED_SCALES:
            raise ConfigError(f"no published scale of {data!r}; there are {', '.join(PUBLISHED_SCALES)}")
        return cls(**PUBLISHED_SCALES[data])

    @property
    def max_samples(self) -> int:
        """The longest clip that is heard as one: one sample more would be a frame too many (164,239: 10.26 s)."""
        length, shift = frame_samples(self.sampling_rate)
        return length + self.num_frames * shift - 1

    @property
    def chunk_samples(self) -> int:
        """Length of a clip that was cut out of a longer recording: the whole seconds of `num_frames` (10 s)."""
        full = self.num_frames * frame_samples(self.sampling_rate)[1]
        return full // self.sampling_rate * self.sampling_rate or full

    def extract(self, waveform: Tensor) -> Tensor:
        """The raw filter bank of mono clips `(batch, time)`: `(batch, frames, mels)`, without filling or scale."""
        return kaldi_fbank(waveform, self.sampling_rate, self.feature_size)

    def fit_frames(self, fbank: Tensor) -> Tensor:
        """A raw filter bank filled or cut to `num_frames`, then normalised: `(batch, num_frames, mels)`."""
        filled = F.pad(fbank[:, : self.num_frames], (0, 0, 0, max(self.num_frames - fbank.shape[1], 0)))
        return (filled - self.mean) / (2.0 * self.std)

    def __call__(
        self,
        audio: AudioInput | list[AudioInput],
        sampling_rate: int | None = None,
        long_audio: str = "refuse",
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Spectrograms of one or many recordings.

        Args:
            audio: `SpatialAudio`; an array `(time,)` or `(1, time)`; a dictionary with `array` and `sampling_rate`; a
                path; or a list of those.
            sampling_rate: rate of bare arrays in Hz.
            long_audio: what to do with a recording longer than `max_samples`: "refuse"; "first" hears its first
                `max_samples`, as the published code does; "chunks" hears all of it in rows of `chunk_samples`, the
                last one ending with the recording.
            return_tensors: "pt" or "np".

        Returns:
            `input_features` `(rows, 1, num_frames, mels)`. With `long_audio="chunks"` also `recording_index` and
            `start_s` `(rows,)`: which recording a row is of, and where it begins.

        Raises:
            SampleRateError: another rate than `sampling_rate` of this extractor, or none.
            ChannelError: not mono.
            AudioValueError: something that is not audio, shorter than one frame, or too long without a choice.
            ConfigError: an unknown `long_audio` or `return_tensors`.
        """
        require_long_audio(long_audio)
        if return_tensors not in ("pt", "np"):
            raise ConfigError(f"return_tensors is {return_tensors!r}; expected 'pt' or 'np'")
        features: list[Tensor] = []
        recording_index, start_s = [], []
        for index, recording in enumerate(spatial_audios(audio, sampling_rate)):
            recording.require(format="mono", sample_rate=self.sampling_rate)
            longest = self.max_samples
            for start, clip in clips_of(recording, longest, self.chunk_samples, long_audio, first=longest):
                features.append(self.fit_frames(self.extract(clip)))
                recording_index.append(index)
                start_s.append(start / self.sampling_rate)
        data: dict[str, Any] = {"input_features": torch.stack(features)}
        if long_audio == "chunks":
            data |= {"recording_index": torch.tensor(recording_index), "start_s": torch.tensor(start_s)}
        if return_tensors == "np":
            data = {name: value.numpy() for name, value in data.items()}
        return BatchFeature(data)
