"""What the pipelines of transformers for recordings share: what they are given, and which options they take."""

import logging
from typing import Any

from transformers.pipelines.base import Pipeline

from spatial_audio_lm.errors import AudioValueError, CheckpointError, ConfigError, SpatialAudioError
from spatial_audio_lm.pipelines.recording_files import recording_info
from spatial_audio_lm.pipelines.recordings import WITH_RATE, Recording, given_recording
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

logger = logging.getLogger(__name__)


class RecordingPipeline(Pipeline):
    """A pipeline that hears one recording, or each of many.

    A class of it names the type of its models and the options of its three steps; `None` leaves an option out.

    Raises:
        CheckpointError: A model of another type.
    """

    _load_image_processor = False
    _load_video_processor = False
    _model_type: str
    _preprocess_options: tuple[str, ...] = ()
    _forward_options: tuple[str, ...] = ()
    _postprocess_options: tuple[str, ...] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.model.config.model_type != self._model_type:
            raise CheckpointError(
                f"the model is of type {self.model.config.model_type!r}; this pipeline needs {self._model_type!r}"
            )
        self._rates_told: set[int] = set()

    def __call__(self, audios: Recording | list[Recording] | tuple[Recording, ...], **kwargs: Any) -> Any:
        """Looks a list through before the first recording of it is heard, then does as transformers does.

        Raises:
            SpatialAudioError: Audio that cannot be used, with its number in the list; or an option that there is not.
        """
        if isinstance(audios, list | tuple):
            if not audios:
                raise AudioValueError("the list of recordings is empty; give at least one")
            audios = [_checked(audio, number, len(audios)) for number, audio in enumerate(audios, 1)]
        return super().__call__(audios, **kwargs)

    def _sanitize_parameters(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        steps = self._preprocess_options, self._forward_options, self._postprocess_options
        taken = [name for step in steps for name in step]
        for name in options:
            if name in ("sampling_rate", "sample_rate"):
                raise ConfigError(f"{name} goes with its samples: give {WITH_RATE}; a file knows its own")
            if name not in taken:
                raise ConfigError(
                    f"there is no option {name!r}; this pipeline takes {', '.join(taken)}, batch_size and num_workers"
                )
        preprocess, forward, postprocess = (
            {name: options[name] for name in step if options.get(name) is not None} for step in steps
        )
        return preprocess, forward, postprocess

    def _tell_resampling(self, rate: int | None, model_rate: int) -> None:
        if rate is not None and rate not in self._rates_told:
            self._rates_told.add(rate)
            logger.warning("recordings at %d Hz are resampled to the model's %d Hz", rate, model_rate)


def _checked(audio: Any, number: int, total: int) -> Recording:
    try:
        recording = given_recording(audio)
        if not isinstance(recording, SpatialAudio):
            recording_info(recording)
    except SpatialAudioError as error:
        raise type(error)(f"recording {number} of {total}: {error}") from error
    return recording
