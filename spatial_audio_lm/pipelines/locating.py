"""The engine for two ears: what sounds in a binaural recording, and where, with SpatialAST or DSpAST, loaded once.

    >>> from spatial_audio_lm.pipelines.locating import SoundEventLocator
    >>> locator = SoundEventLocator.from_pretrained("dspast-tiny")
    >>> answer = locator.locate("clip.wav")
    >>> answer.events[0].label, answer.azimuth_deg, answer.confidence

It resamples to the model's rate and says so (`resampled_from`); nothing else is changed silently.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from spatial_audio_lm.errors import AudioValueError, ChannelError, CheckpointError, ConfigError
from spatial_audio_lm.features.binaural_extractor import BinauralFeatureExtractor
from spatial_audio_lm.models.checkpoints import DEFAULT_EVENTS_MODEL, DEFAULT_QUERY_MODEL, checkpoint_folder
from spatial_audio_lm.models.dspast.feature_extraction_dspast import DSpASTFeatureExtractor
from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTForSoundEventLocalization
from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import SpatialASTFeatureExtractor
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTForSoundEventLocalization
from spatial_audio_lm.pipelines.answers import (
    CONFIDENT_WITHIN_DEG,
    EVENT_THRESHOLD,
    SPREAD_PROBABILITY,
    EventsResult,
    EventsWindow,
    HeardEvent,
    Location,
)
from spatial_audio_lm.pipelines.direction_certainty import azimuth_sector_deg, direction_certainty
from spatial_audio_lm.pipelines.hearing import longest_s, window_of_long_s
from spatial_audio_lm.pipelines.pretrained import load_whole, model_type_of, require_trained
from spatial_audio_lm.pipelines.recordings import OpenRecording, Recording, Stretch
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

LOUD_RANGE_DB = 10.0  # windows so far below the loudest one do not answer for the recording
_CLASSES: dict[str, tuple[Any, Any]] = {
    "dspast": (DSpASTForSoundEventLocalization, DSpASTFeatureExtractor),
    "spatial_ast": (SpatialASTForSoundEventLocalization, SpatialASTFeatureExtractor),
}
EVENT_MODEL_TYPES = tuple(_CLASSES)
_BATCH = 8  # windows that go through the model together
_SHORT_S = 0.25  # of recordings so short that a direction means little

Progress = Callable[[float, float], None]


class SoundEventLocator:
    """A model for two ears and its front end, ready to answer.

    Both published models have one direction and one distance for all they hear: events of one window share them.

    Args:
        model: `DSpASTForSoundEventLocalization` or `SpatialASTForSoundEventLocalization`; it is set to eval.
        extractor: Its feature extractor.
    """

    def __init__(self, model: Any, extractor: BinauralFeatureExtractor):
        self.model = model.eval()
        self.extractor = extractor

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path = DEFAULT_EVENTS_MODEL, device: str | torch.device | None = None
    ) -> "SoundEventLocator":
        """Loads a packaged checkpoint by name, or any folder written by `save_pretrained`.

        Args:
            name_or_path: For example "dspast-tiny".
            device: Where to compute; the CPU if not given.

        Raises:
            CheckpointError: No such checkpoint, another kind of model, damaged files, or layers that were never
                trained.
        """
        folder = checkpoint_folder(name_or_path)
        kind = model_type_of(folder)
        if kind not in _CLASSES:
            raise CheckpointError(
                f"{folder} holds a model of type {kind!r}; naming sounds and their places needs one of "
                f"{', '.join(_CLASSES)}"
            )
        require_trained(folder)
        model, extractor = load_whole(folder, *_CLASSES[kind])
        _require_same_features(folder, model, extractor)
        return cls(model.to(device) if device is not None else model, extractor)

    @property
    def sample_rate(self) -> int:
        """Rate in Hz at which the model hears."""
        return int(self.extractor.sampling_rate)

    @property
    def whole_s(self) -> float:
        """The longest recording that is heard as one window, in seconds."""
        return cast(float, longest_s(self.extractor))

    @property
    def window_s(self) -> float:
        """Length of the windows of a longer one; they begin half a window apart."""
        return cast(float, window_of_long_s(self.extractor))

    def locate(
        self,
        audio: Recording,
        format: str | None = None,
        threshold: float = EVENT_THRESHOLD,
        progress: Progress | None = None,
    ) -> EventsResult:
        """What sounds in a recording, and where.

        A recording longer than `whole_s` is heard window by window, and answered by one of them: of those with a
        direction (if there are any) that are at most 10 dB quieter than the loudest, the one in which the probability
        of the first event times the confidence of the direction is greatest. A reverberant tail may sound certain of
        itself; it is not loud.

        Args:
            audio: `SpatialAudio`, a path, or a dictionary with `array`, `sampling_rate` and perhaps `format`.
            format: Format of a file where its channels do not tell it.
            threshold: Sounds of at least this probability are named, and the most probable one in any case.
            progress: Called with the seconds done and the seconds in all.

        Returns:
            The events of the window that answers, their place, and all windows. Without a direction (mono, both ears
            alike, a dead channel, silence) all numbers of the place are None and `reason` says why; in silence there
            are no events either.

        Raises:
            SpatialAudioError: A recording that cannot be used, with the way out.
        """
        if not 0.0 <= threshold <= 1.0:
            raise ConfigError(f"threshold is {threshold}; a probability is between 0 and 1")
        recording = OpenRecording(audio, format)
        windows: list[EventsWindow] = []
        resampled_from: int | None = None
        warnings: tuple[str, ...] = ()
        stretches = recording.stretches(self.whole_s, self.window_s, self.window_s / 2)
        while batch := list(itertools.islice(stretches, _BATCH)):
            windows += self._windows(recording, batch, threshold)
            resampled_from, warnings = batch[-1].notes(self.sample_rate)
            if progress is not None:
                progress(min(batch[-1].end_s, recording.duration_s), recording.duration_s)
        if recording.duration_s < _SHORT_S:
            warnings += (
                f"{recording.duration_s:.3g} s are very short: the model hears {self.window_s:g} s at a time, and its "
                f"answer means little below {_SHORT_S:g} s",
            )
        chosen = _telling_window(windows)
        return EventsResult(
            file=recording.file,
            events=chosen.events,
            start_s=chosen.start_s,
            end_s=chosen.end_s,
            windows=tuple(windows),
            resampled_from=resampled_from,
            warnings=warnings,
            **_place(chosen),
            confidence=chosen.confidence,
            spread_deg=chosen.spread_deg,
            sector_deg=chosen.sector_deg,
            reason=chosen.reason,
        )

    def _windows(self, recording: OpenRecording, batch: list[Stretch], threshold: float) -> Iterator[EventsWindow]:
        for stretch in batch:
            _require_ears(recording, stretch.audio)
        audible = [stretch for stretch in batch if not stretch.is_silent]
        heard = iter(self._forward(recording, audible, threshold) if audible else [])
        for stretch in batch:
            mean_square = float(stretch.audio.waveform.double().square().mean())
            silent = EventsWindow(
                start_s=stretch.start_s,
                end_s=stretch.end_s,
                level_db=10.0 * math.log10(mean_square) if mean_square > 0 else -math.inf,
                reason=stretch.reason,
            )
            if stretch.is_silent:
                yield silent
                continue
            events, place = next(heard)
            yield replace(
                silent,
                events=events,
                **_place(place),
                confidence=place.confidence,
                spread_deg=place.spread_deg,
                sector_deg=place.sector_deg,
            )

    @torch.inference_mode()
    def _forward(
        self, recording: OpenRecording, stretches: list[Stretch], threshold: float
    ) -> list[tuple[tuple[HeardEvent, ...], Location]]:
        """Events and place of each window; no place where the window has a reason to have none."""
        ears: list[Any] = [_two_ears(stretch.audio.resample(self.sample_rate)) for stretch in stretches]
        try:
            features = self.extractor(ears)["input_features"]
        except AudioValueError as error:  # shorter than a window of the STFT
            raise AudioValueError(f"{recording.name}: {error}") from error
        if not bool(torch.isfinite(features).all()):
            peak = max(float(audio.waveform.abs().max()) for audio in ears)
            raise AudioValueError(
                f"{recording.name}: has a peak of {peak:.3g}, which no feature can hold: scale it to -1..1"
            )
        outputs = self.model(features.to(self.model.device))
        logits = (outputs.event_logits, outputs.distance_logits, outputs.azimuth_logits, outputs.elevation_logits)
        if not all(bool(torch.isfinite(values).all()) for values in logits):
            raise CheckpointError("the model answered with NaN: its weights are damaged, or the precision is too low")
        azimuths, elevations = (
            self.model.class_scores(head, scores.float()).softmax(-1)
            for head, scores in (("azimuth", outputs.azimuth_logits), ("elevation", outputs.elevation_logits))
        )
        answers: list[tuple[tuple[HeardEvent, ...], Location]] = []
        for row, sounds in enumerate(self.model.decode(outputs, threshold)):
            # Every event has the same place: the model has one.
            place = Location()
            if stretches[row].reason is None:
                place = self._location(sounds[0], azimuths[row], elevations[row])
            events = tuple(HeardEvent(sound.label, sound.probability, **_place(place)) for sound in sounds)
            answers.append((events, place))
        return answers

    def _location(self, sound: Any, azimuths: Tensor, elevations: Tensor) -> Location:
        confidence, spread_deg = direction_certainty(
            azimuths,
            elevations,
            sound.azimuth_deg,
            sound.elevation_deg,
            self.model.config.bins,
            CONFIDENT_WITHIN_DEG,
            SPREAD_PROBABILITY,
        )
        return Location(
            azimuth_deg=sound.azimuth_deg,
            elevation_deg=sound.elevation_deg,
            distance_m=sound.distance_m,
            confidence=confidence,
            spread_deg=spread_deg,
            sector_deg=azimuth_sector_deg(azimuths, sound.azimuth_deg, self.model.config.bins, SPREAD_PROBABILITY),
        )


def _require_same_features(folder: Path, model: Any, extractor: BinauralFeatureExtractor) -> None:
    config = model.config
    wanted = (list(config.features), config.num_mel_bins, config.num_frames)
    made = (list(extractor.features), extractor.feature_size, extractor.num_frames)
    if made != wanted:
        raise CheckpointError(
            f"{folder}: preprocessor_config.json makes features, mel bands and frames {made}, config.json wants "
            f"{wanted}: save the feature extractor that the model was trained with"
        )


def _require_ears(recording: OpenRecording, audio: SpatialAudio) -> None:
    if audio.format not in ("binaural", "mono"):
        raise ChannelError(
            f"{recording.name}: has {audio.num_channels} channels ({audio.format}); this model has two ears: give a "
            f"binaural recording (left, right), or ask a model that hears ambisonics (--model {DEFAULT_QUERY_MODEL}, "
            "SpatialQuery)"
        )


def _two_ears(audio: SpatialAudio) -> SpatialAudio:
    """Both ears hear a single channel alike; `Stretch.reason` says that this is no direction."""
    if audio.format == "mono":
        return replace(audio, waveform=audio.waveform.expand(2, -1), format="binaural")
    return audio


def _telling_window(windows: list[EventsWindow]) -> EventsWindow:
    """The window that answers for a recording: see `SoundEventLocator.locate`."""
    candidates = [window for window in windows if window.azimuth_deg is not None]
    candidates = candidates or [window for window in windows if window.events] or windows[:1]
    loudest = max(window.level_db for window in candidates)
    loud = [window for window in candidates if window.level_db >= loudest - LOUD_RANGE_DB]

    def certainty(window: EventsWindow) -> float:
        first = window.events[0].probability if window.events else 0.0
        return first * (1.0 if window.confidence is None else window.confidence)

    return max(loud, key=certainty)


def _place(place: Location) -> dict[str, Any]:
    return {name: getattr(place, name) for name in ("azimuth_deg", "elevation_deg", "distance_m")}
