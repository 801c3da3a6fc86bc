"""Examples for SpatialAST and DSpAST from a user's own copy of the SpatialSound data set, in the published order.

A clip's first channel is resampled to 32 kHz, brought to an RMS level of -14 dBFS (silence stays silence), in training
multiplied by 0.5 + Beta(10, 10), cut to ten seconds, mixed with another clip in half of the examples, and convolved
with a room response of at most two seconds. A clip or an example that is too short is padded with zeros; that is done
after the convolution, which changes nothing but that the silence behind stays silent, where an FFT would leave noise.

How two clips are mixed:

- "places" (the default): the second one gets another response of the same house and is softer at the ears by a level
  drawn from `second_level_db`; the events of both are 1, and the place is that of the first, the louder one.
- "shared_rir", the published way: the dry clips are mixed, lambda ~ Beta(10, 10) of the first and the rest of the
  second, and share one response; events count lambda and 1 - lambda.
- "none".

Not read are the HDF5 files in which the authors kept the unbalanced clips: they are not distributed.
"""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from spatial_audio_lm.data.spatial_sound_clips import read_clips, read_event_labels, read_weights
from spatial_audio_lm.data.spatial_sound_responses import read_responses
from spatial_audio_lm.errors import LIMITS, AudioFileError, ConfigError, DataError, FormatWarning
from spatial_audio_lm.layers.localization_bins import LocalizationBins
from spatial_audio_lm.signal.resampling import resample
from spatial_audio_lm.signal.sound_files import SoundReader

SAMPLE_RATE = 32_000  # of the responses, whose files do not say it
CLIP_RMS = 10 ** (-14.0 / 20.0)
MIXUPS = ("places", "shared_rir", "none")
_PAIRING = 3  # first word of the seeds of the pairing; 1 and 2 are those of the training's order and items

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class SpatialSoundSettings:
    """Where a copy of SpatialSound is, and what is made of it. Paths are relative to `root`, or absolute.

    Args:
        root: folder of the copy.
        clips_file: list of the clips: balanced, unbalanced or eval.
        responses_file: list of the room responses: train or eval.
        labels_file: table of the labels.
        weights_file: weights of the clips in the order of `clips_file`, for a weighted order; None reads none.
        clips_folder: what the folders of the clips are relative to.
        responses_folder: what the names of the responses are relative to.
        skip_missing_clips: leave out clips without a file instead of refusing the copy.
        duration_s: length of an example.
        response_duration_s: longest part of a response that is used.
        gain_augmentation: multiply clips by 0.5 + Beta(10, 10) in training.
        mixup: "places", "shared_rir" or "none", see above.
        mixup_rate: probability of mixing in training.
        second_level_db: least and highest level of the second clip beside the first, both at the ears, for "places".
        bins: of the model: responses with a place that has no bin are refused when the data set is opened.

    Raises:
        ConfigError: a number out of range, or an unknown `mixup`.
    """

    root: str | Path
    clips_file: str = "AudioSet/metadata/balanced.json"
    responses_file: str = "mp3d_reverb/train_reverberation.json"
    labels_file: str = "AudioSet/metadata/class_labels_indices_subset.csv"
    weights_file: str | None = None
    clips_folder: str = "AudioSet"
    responses_folder: str = "mp3d_reverb/binaural"
    skip_missing_clips: bool = False
    duration_s: float = 10.0
    response_duration_s: float = 2.0
    gain_augmentation: bool = True
    mixup: str = "places"
    mixup_rate: float = 0.5
    second_level_db: tuple[float, float] = (-12.0, 0.0)
    bins: LocalizationBins = field(default_factory=LocalizationBins)

    def __post_init__(self) -> None:
        for name in ("duration_s", "response_duration_s"):
            if not 2 / SAMPLE_RATE <= getattr(self, name) <= LIMITS.max_duration_s:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; expected two samples to {LIMITS.max_duration_s:g} s"
                )
        if self.mixup not in MIXUPS:
            raise ConfigError(f"mixup is {self.mixup!r}; expected one of {', '.join(MIXUPS)}")
        if not 0.0 <= self.mixup_rate <= 1.0:
            raise ConfigError(f"mixup_rate is {self.mixup_rate}; expected 0 to 1")
        least, highest = self.second_level_db
        if not -120.0 <= least <= highest <= 0.0:
            raise ConfigError(
                f"second_level_db is {self.second_level_db}; expected (least, highest) from -120 to 0: the place is "
                "that of the first clip, which has to be the louder one"
            )

    @property
    def mixes(self) -> bool:
        """Whether an example of the training can be of two clips."""
        return self.mixup != "none" and self.mixup_rate > 0


class SpatialSoundDataset:
    """Clips at places in rooms, made anew from clips and responses each time they are asked for.

    Lists, labels, weights, places and the heads of the responses are read, and the files looked for, when it is opened;
    samples when they are needed. With the classes of `training.data_order`, `Augmented(range(len(dataset)),
    dataset.example, seed)` is the data set of a training, and `WeightedEpochSampler(dataset.weights, ...)` the
    published order.

    Args:
        settings: where and what.

    Attributes:
        labels: names of the events in the order of `events`.
        weights: `(items,)` if `weights_file` is given, else None.
        num_missing_clips: entries of the list that were left out (`skip_missing_clips`).

    Raises:
        DataError: a copy that is incomplete or of another layout; says what is missing.
    """

    def __init__(self, settings: SpatialSoundSettings) -> None:
        self.settings = settings
        root = Path(settings.root)
        if not root.is_dir():
            raise DataError(f"{root} is no folder; expected a copy of the SpatialSound data set")
        numbers, self.labels = read_event_labels(root / settings.labels_file)
        clips_file = root / settings.clips_file
        self._clips = read_clips(clips_file, root / settings.clips_folder, numbers, settings.skip_missing_clips)
        self.num_missing_clips = self._clips.num_listed - len(self._clips)
        self.weights: NDArray[np.float64] | None = None
        if settings.weights_file is not None:
            self.weights = read_weights(root / settings.weights_file, self._clips.num_listed)[self._clips.rows]
        self._responses = read_responses(
            root / settings.responses_file, root / settings.responses_folder, settings.bins
        )
        if settings.mixes and len(self) < 2:
            raise DataError(f"{clips_file} has one clip; mixing needs two: choose mixup='none'")
        if settings.mixes and settings.mixup == "places" and len(self._responses) < 2:
            raise DataError(
                f"{root / settings.responses_file} has one response; mixup='places' needs two: choose another mixup"
            )

    def __len__(self) -> int:
        return len(self._clips)

    def example(self, index: int, generator: np.random.Generator) -> dict[str, torch.Tensor]:
        """An example of the training, which depends on the index and the generator's state only.

        A silent clip is not mixed at "places": it has no level to be softer or louder than.

        Args:
            index: of the clip.
            generator: draws the gain, the response, and whether and with what the clip is mixed.

        Returns:
            "waveform" `(2, samples)`, "events" `(labels,)` from 0 to 1, "azimuth_deg", "elevation_deg" and
            "distance_m" `()`, in the house's convention; all float32.

        Raises:
            DataError: no such item, or a response with NaN or infinity.
            AudioFileError, AudioValueError, SampleRateError: the clip cannot be read.
        """
        first = self._clip(index, self._gain(generator))
        events = self._events(index)
        response = int(generator.integers(len(self._responses)))
        if not self.settings.mixes or generator.random() >= self.settings.mixup_rate:
            return self._example(self._at_ears(first, response), events, response)
        other = _another(index, len(self), generator)
        if self.settings.mixup == "shared_rir":
            second, share = self._clip(other, self._gain(generator)), np.float32(generator.beta(10.0, 10.0))
            dry = np.zeros(max(len(first), len(second)), np.float32)
            dry[: len(first)] = share * first
            dry[: len(second)] += (1 - share) * second
            events = np.minimum(share * events + (1 - share) * self._events(other), 1.0)
            return self._example(self._at_ears(dry, response), events, response)
        wet, beside = (
            self._at_ears(first, response),
            self._at_ears(self._clip(other), self._beside(response, generator)),
        )
        level_db = generator.uniform(*self.settings.second_level_db)
        loud, soft = _rms(wet), _rms(beside)
        if loud > 0 and soft > 0:
            both = np.zeros((2, max(wet.shape[1], beside.shape[1])), np.float32)
            both[:, : wet.shape[1]] = wet
            both[:, : beside.shape[1]] += np.float32(loud / soft * 10 ** (level_db / 20)) * beside
            wet, events = both, np.maximum(events, self._events(other))
        return self._example(wet, events, response)

    def evaluation_example(self, index: int, seed: int) -> dict[str, torch.Tensor]:
        """An example of the evaluation: no gain, no mixing, and always the same response for the same seed.

        The response is drawn from (seed, the clip's place in the list), so that neither the order nor the number of
        workers nor clips that are missing elsewhere change it. The published evaluation draws another one in each run,
        without a seed, and its figures vary accordingly.

        Args:
            index: of the clip.
            seed: of the pairing, >= 0.

        Returns:
            As `example`.

        Raises:
            ConfigError: a seed below 0.
            SpatialAudioError: as `example`.
        """
        if seed < 0:
            raise ConfigError(f"seed is {seed}; expected 0 or more")
        clip = self._clip(index)
        generator = np.random.default_rng([_PAIRING, seed, int(self._clips.rows[index])])
        response = int(generator.integers(len(self._responses)))
        return self._example(self._at_ears(clip, response), self._events(index), response)

    def _gain(self, generator: np.random.Generator) -> float:
        return 0.5 + generator.beta(10.0, 10.0) if self.settings.gain_augmentation else 1.0

    def _clip(self, index: int, gain: float = 1.0) -> Samples:
        """A dry clip at its level, cut but not padded, `(time,)`."""
        if not 0 <= index < len(self):
            raise DataError(f"item {index} of a data set of {len(self)}")
        samples = _first_channel(self._clips.path(index))
        level = _rms(samples)  # of the whole clip, before it is cut
        samples = samples[: round(self.settings.duration_s * SAMPLE_RATE)]
        return samples * np.float32(gain * CLIP_RMS / level) if level > 0 else samples

    def _events(self, index: int) -> Samples:
        events = np.zeros(len(self.labels), np.float32)
        events[self._clips.labels(index)] = 1.0
        return events

    def _at_ears(self, dry: Samples, response: int) -> Samples:
        longest = round(self.settings.response_duration_s * SAMPLE_RATE)
        duration = round(self.settings.duration_s * SAMPLE_RATE)
        return convolve(dry, self._responses.load(response, longest))[:, :duration]

    def _beside(self, response: int, generator: np.random.Generator) -> int:
        """Another response of the same house; of any, if the house has no other."""
        same_house = np.flatnonzero(self._responses.house_of == self._responses.house_of[response])
        if len(same_house) < 2:
            return _another(response, len(self._responses), generator)
        place = int(np.searchsorted(same_house, response))
        return int(same_house[_another(place, len(same_house), generator)])

    def _example(self, wet: Samples, events: Samples, response: int) -> dict[str, torch.Tensor]:
        waveform = torch.zeros(2, round(self.settings.duration_s * SAMPLE_RATE))
        waveform[:, : wet.shape[1]] = torch.from_numpy(wet)
        place = {
            name: torch.tensor(getattr(self._responses, name)[response], dtype=torch.float32)
            for name in ("azimuth_deg", "elevation_deg", "distance_m")
        }
        return {"waveform": waveform, "events": torch.from_numpy(events), **place}


def convolve(dry: NDArray[Any], response: NDArray[Any]) -> NDArray[Any]:
    """A dry sound `(time,)` through a response `(channels, taps)`: `(channels, time + taps - 1)`.

    By an FFT of a length that is fast: the published one, of exactly that many points, takes ten times as long.
    """
    length = len(dry) + response.shape[-1] - 1
    padded = next_fast_len(length, real=True)
    return irfft(rfft(dry, padded) * rfft(response, padded), padded)[..., :length]


def _another(index: int, count: int, generator: np.random.Generator) -> int:
    other = int(generator.integers(count - 1))
    return other + (other >= index)


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _first_channel(path: Path) -> Samples:
    """The first channel of a sound file at 32 kHz, `(time,)`."""
    with SoundReader(path) as reader:
        if reader.info.frames * 4 > LIMITS.max_decoded_bytes:
            raise AudioFileError(f"{path}: {reader.info.duration_s / 60:.0f} minutes; expected a clip of some seconds")
        samples = np.concatenate([block[:, 0] for block in reader.blocks()])
        if reader.missing_frames:
            warnings.warn(
                FormatWarning(f"{path}: {reader.missing_frames} samples are missing at its end"), stacklevel=2
            )
        return resample(torch.from_numpy(samples), reader.info.sample_rate, SAMPLE_RATE).numpy()
