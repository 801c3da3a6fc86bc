"""From a SpatialSoundQA record to the sound that its question is about, as published.

A clip's first channel at 32 kHz, brought to an RMS level of -14 dBFS (silence stays silence), convolved with the whole
response, cut or filled with zeros to ten seconds; two sources are the mean of two such sounds. There is no noise, no
gain and no other mixing. (The encoder of BAT was trained otherwise: on the first two seconds of a response.)

Source: X-LANCE/SLAM-LLM, examples/seld_spatialsoundqa, `load_waveform`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import resample_poly

from spatial_audio_lm.data.npy_arrays import open_npy
from spatial_audio_lm.data.spatial_sound import CLIP_RMS, SAMPLE_RATE, convolve
from spatial_audio_lm.errors import LIMITS, AudioFileError, ConfigError, DataError, RecordError
from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.signal.sound_files import SoundReader
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

FORMAT_OF_CHANNELS = {1: "mono", 2: "binaural"}


@dataclass(frozen=True)
class SpatialSoundRenderer:
    """Renders records from a user's copy of SpatialSound; `renderer(question)` is its sound.

    Args:
        clips_folder: what the `audio_id`s are relative to.
        responses_folder: what the `reverb_id`s are relative to.
        duration_s: length of a sound.
    """

    clips_folder: str | Path
    responses_folder: str | Path
    duration_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.duration_s <= LIMITS.max_duration_s:
            raise ConfigError(f"duration_s is {self.duration_s}; expected up to {LIMITS.max_duration_s:g} seconds")

    def __call__(self, question: SpatialQuestion) -> SpatialAudio:
        """The sound of a record at 32 kHz: binaural, or mono where it has no response.

        Raises:
            RecordError: the record is of a scene, or one of its two sources has a response and the other has none.
            DataError, AudioFileError, AudioValueError: a file that is missing or of another kind.
        """
        _require_clips(question)
        sound = self._source(question.audio_id, question.reverb_id)
        if question.audio_id2 is not None:
            second = self._source(question.audio_id2, question.reverb_id2)
            if len(sound) != len(second):
                raise RecordError(
                    f"{question.audio_id} and {question.audio_id2}: one has a response and the other has none"
                )
            sound = (sound + second) / 2
        return SpatialAudio.from_array(
            torch.from_numpy(sound.astype(np.float32)), SAMPLE_RATE, FORMAT_OF_CHANNELS[len(sound)]
        )

    def files_of(self, question: SpatialQuestion) -> list[Path]:
        """The files that a record needs."""
        _require_clips(question)
        clips = [question.audio_id, question.audio_id2]
        responses = [question.reverb_id, question.reverb_id2]
        return [Path(self.clips_folder) / f"{name}.wav" for name in clips if name is not None] + [
            Path(self.responses_folder) / name for name in responses if name is not None
        ]

    def _source(self, audio_id: str, reverb_id: str | None) -> NDArray[np.float64]:
        """One source `(channels, time)`."""
        length = round(self.duration_s * SAMPLE_RATE)
        dry = _first_channel(Path(self.clips_folder) / f"{audio_id}.wav")
        level = float(np.sqrt(np.mean(np.square(dry))))
        if level > 0:
            dry = dry * (CLIP_RMS / level)
        response = np.ones((1, 1)) if reverb_id is None else self._response(reverb_id)
        wet = convolve(dry[:length], response)[:, :length]  # what is cut off begins too late to be heard
        return np.pad(wet, ((0, 0), (0, length - wet.shape[1])))

    def _response(self, reverb_id: str) -> NDArray[np.float64]:
        path = Path(self.responses_folder) / reverb_id
        response = open_npy(path)
        if response.ndim != 2 or response.shape[0] != 2 or response.dtype not in (np.float32, np.float64):
            raise DataError(
                f"{path} holds {response.dtype} of the shape {response.shape}; expected floats (2, time), left "
                "ear first"
            )
        if not response.size or not np.isfinite(response).all():
            raise DataError(f"{path} is empty, or holds NaN or infinity: copy the file again")
        return np.asarray(response, dtype=np.float64)


def _require_clips(question: SpatialQuestion) -> None:
    if question.scene_id is not None:
        raise RecordError(
            f"scene {question.scene_id} is a whole recording and is not rendered from clips and responses: open its "
            "folder with question_answering.scene_recordings.SceneRecordings"
        )


def _first_channel(path: Path) -> NDArray[np.float64]:
    """The first channel of a sound file at 32 kHz, `(time,)`, by the published resampling."""
    if not path.is_file():
        raise DataError(f"{path}: no such clip")
    with SoundReader(path) as reader:
        if reader.info.frames * 8 > LIMITS.max_decoded_bytes:
            raise AudioFileError(f"{path}: {reader.info.duration_s / 60:.0f} minutes; expected a clip of some seconds")
        samples = np.concatenate([block[:, 0] for block in reader.blocks()]).astype(np.float64)
        if reader.missing_frames:
            raise AudioFileError(f"{path}: {reader.missing_frames} samples are missing at its end: copy it again")
        rate = reader.info.sample_rate
    return samples if rate == SAMPLE_RATE else resample_poly(samples, SAMPLE_RATE, rate)
