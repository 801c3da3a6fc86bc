"""What every encoder with two ears shares at its door: binaural recordings in, a fixed number of frames out."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BatchFeature, SequenceFeatureExtractor

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.features.audio_inputs import AudioInput, spatial_audios
from spatial_audio_lm.features.interaural import count_interaural_maps, interaural_features, stretch_frames
from spatial_audio_lm.features.log_mel import cached_mel_filters
from spatial_audio_lm.features.long_audio import clips_of, require_long_audio
from spatial_audio_lm.signal.intensity_direction import no_direction_reason
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.signal.stft import stft

SHORT_AUDIO = ("stretch", "pad", "repeat")


class BinauralFeatureExtractor(SequenceFeatureExtractor):
    """Binaural recordings (left, right) in, interaural feature maps of `num_frames` frames out.

    The maps of a clip with fewer frames are stretched to `num_frames`, as the published models do: ten seconds at the
    default rate (1001 frames) always are, a clip of two seconds fivefold. `short_audio="pad"` first fills the clip
    with silence to its full length, as the published *data* do; `short_audio="repeat"` with itself, which has neither
    another tempo nor silence that no phase can be taken of. Up to `spare_frames` frames more are cut off (less
    than one patch, of which the published models make no token either); a longer clip is refused unless the call says
    what to do with it.

    The defaults are SpatialAST's and DSpAST's: periodic Hann window, centred frames, Slaney's mel scale and norm.

    Args:
        features: names of feature maps in their order (see features/interaural.py).
        feature_size: mel bands.
        sampling_rate: rate of the recordings in Hz; others are refused.
        n_fft, hop_length: STFT.
        frequency_min, frequency_max: outer mel edges in Hz.
        num_frames: frames that the model takes.
        spare_frames: how many frames more a clip may have.
        short_audio: "stretch", "pad" or "repeat".
    """

    model_input_names = ["input_features", "is_spatial"]  # noqa: RUF012

    def __init__(
        self,
        features: list[str] | tuple[str, ...] = ("log_mel", "phase_difference"),
        feature_size: int = 128,
        sampling_rate: int = 32_000,
        n_fft: int = 1024,
        hop_length: int = 320,
        frequency_min: float = 50.0,
        frequency_max: float = 14_000.0,
        num_frames: int = 1024,
        spare_frames: int = 15,
        short_audio: str = "stretch",
        padding_value: float = 0.0,
        **kwargs: Any,
    ):
        if short_audio not in SHORT_AUDIO:
            raise ConfigError(f"short_audio is {short_audio!r}; expected one of {', '.join(SHORT_AUDIO)}")
        if num_frames < 2 or spare_frames < 0:
            raise ConfigError(f"num_frames is {num_frames}, spare_frames {spare_frames}; expected 2, 0 or more")
        count_interaural_maps(features)
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)
        self.features = list(features)
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.frequency_min = frequency_min
        self.frequency_max = frequency_max
        self.num_frames = num_frames
        self.spare_frames = spare_frames
        self.short_audio = short_audio

    @property
    def max_samples(self) -> int:
        """The longest clip that is heard as one, in samples (332,479 at the defaults: 10.39 s)."""
        return (self.num_frames + self.spare_frames) * self.hop_length - 1

    @property
    def chunk_samples(self) -> int:
        """Length of a clip that was cut out of a longer recording: the whole seconds of `num_frames` (10 s)."""
        full = self.num_frames * self.hop_length
        return full // self.sampling_rate * self.sampling_rate or full

    def extract(self, waveform: Tensor) -> Tensor:
        """Feature maps of a batch of binaural clips of one length, without stretching or checks.

        Args:
            waveform: left and right at `sampling_rate`, `(batch, 2, time)`.

        Returns:
            `(batch, maps, frames, mels)` with `1 + time // hop_length` frames, float32.
        """
        filters = cached_mel_filters(
            self.feature_size, self.n_fft, self.sampling_rate, self.frequency_min, self.frequency_max
        )
        # On a CPU a few clips at a time stay in its cache.
        parts = waveform.float().split(4) if waveform.device.type == "cpu" else [waveform.float()]
        with torch.autocast(waveform.device.type, enabled=False):
            spectra = (stft(part, self.n_fft, self.hop_length) for part in parts)
            return torch.cat([interaural_features(spectrum, self.features, filters) for spectrum in spectra])

    def fit_frames(self, features: Tensor) -> Tensor:
        """Feature maps `(batch, maps, frames, mels)` stretched, or cut by at most `spare_frames`, to `num_frames`."""
        return stretch_frames(features, self.num_frames)[:, :, : self.num_frames]

    def __call__(
        self,
        audio: AudioInput | list[AudioInput],
        sampling_rate: int | None = None,
        format: str | None = None,
        long_audio: str = "refuse",
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Feature maps of one or many recordings.

        Args:
            audio: `SpatialAudio`; an array `(2, time)`; a dictionary with `array`, `sampling_rate` and perhaps
                `format`; a path; or a list of those.
            sampling_rate: rate of bare arrays in Hz.
            format: format of bare arrays and files, where channels alone do not tell it.
            long_audio: what to do with a recording longer than `max_samples`: "refuse"; "first" hears its first
                `chunk_samples`; "chunks" hears all of it in rows of `chunk_samples`, the last one ending with the
                recording.
            return_tensors: "pt" or "np".

        Returns:
            `input_features` `(rows, maps, num_frames, mels)` and `is_spatial` `(rows,)`: False where both ears hear
            the same or nothing, so that no direction means anything. With `long_audio="chunks"` also
            `recording_index` and `start_s` `(rows,)`: which recording a row is of, and where it begins.

        Raises:
            SampleRateError: another rate than `sampling_rate` of this extractor, or none.
            ChannelError: not binaural.
            AudioValueError: something that is not audio, shorter than half a window, or too long without a choice.
            ConfigError: an unknown `long_audio` or `return_tensors`.
        """
        require_long_audio(long_audio)
        if return_tensors not in ("pt", "np"):
            raise ConfigError(f"return_tensors is {return_tensors!r}; expected 'pt' or 'np'")
        rows: list[Tensor] = []
        is_spatial, recording_index, start_s = [], [], []
        for index, recording in enumerate(spatial_audios(audio, sampling_rate, format)):
            recording.require(format="binaural", sample_rate=self.sampling_rate)
            for start, clip in clips_of(recording, self.max_samples, self.chunk_samples, long_audio):
                rows.append(self._filled(clip))
                heard = SpatialAudio(rows[-1], recording.sample_rate, recording.format)
                is_spatial.append(no_direction_reason(heard) is None)
                recording_index.append(index)
                start_s.append(start / self.sampling_rate)
        features: list[Tensor] = [torch.empty(0)] * len(rows)
        for length in sorted({row.shape[-1] for row in rows}):
            members = [index for index, row in enumerate(rows) if row.shape[-1] == length]
            batch = self.fit_frames(self.extract(torch.stack([rows[index] for index in members])))
            for index, value in zip(members, batch, strict=True):
                features[index] = value
        data: dict[str, Any] = {"input_features": torch.stack(features), "is_spatial": torch.tensor(is_spatial)}
        if long_audio == "chunks":
            data |= {"recording_index": torch.tensor(recording_index), "start_s": torch.tensor(start_s)}
        if return_tensors == "np":
            data = {name: value.numpy() for name, value in data.items()}
        return BatchFeature(data)

    def _filled(self, clip: Tensor) -> Tensor:
        """A clip `(2, time)`; one shorter than a chunk filled to its length as `short_audio` says."""
        length, time = self.chunk_samples, clip.shape[-1]
        if time >= length or self.short_audio == "stretch":
            return clip
        if self.short_audio == "pad":
            return F.pad(clip, (0, length - time))
        return clip.repeat(1, -(-length // time))[:, :length]
