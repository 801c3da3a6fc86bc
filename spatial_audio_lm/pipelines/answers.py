"""What a recording answers: how well sentences fit, what sounds, where the sound comes from, and when."""

import math
import os
from dataclasses import dataclass
from typing import Any

CONFIDENT_WITHIN_DEG = 20.0  # what `confidence` is the probability of
SPREAD_PROBABILITY = 0.8  # what `spread_deg` holds
EVENT_THRESHOLD = 0.5  # probability from which on a sound is named


@dataclass(frozen=True)
class TextMatch:
    """How well one sentence fits.

    Attributes:
        text: The sentence.
        similarity: Cosine between sentence and sound in [-1, 1]; None where there is nothing to hear.
        score: Share of this sentence among all that were given (their softmax), None for a single one.
        start_s: Where the window of a long recording begins in which it fits best; else None.
        end_s: Where that window ends.
    """

    text: str
    similarity: float | None
    score: float | None
    start_s: float | None = None
    end_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields for strict JSON."""
        fields = {"text": self.text, "similarity": _rounded(self.similarity, 6), "score": _rounded(self.score, 6)}
        if self.start_s is not None and self.end_s is not None:
            fields |= {"start_s": _rounded(self.start_s, 3), "end_s": _rounded(self.end_s, 3)}
        return fields


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where the sound comes from. All numbers are None, and `reason` says why, where no direction can be given.

    Attributes:
        azimuth_deg: 0 = front, positive = left, in [-180, 180).
        elevation_deg: Positive = up.
        distance_m: Metres to the source.
        confidence: Probability that the true direction is within 20 degrees of this one.
        spread_deg: Half opening of the cone that holds the true direction with a probability of 0.8.
        sector_deg: Half-width of the sector, seen from above, that holds the true azimuth with a probability of 0.8;
            None where the model speaks of the cone alone.
        reason: Why there is no direction ("mono", "identical channels", "silence", ...).
    """

    azimuth_deg: float | None = None
    elevation_deg: float | None = None
    distance_m: float | None = None
    confidence: float | None = None
    spread_deg: float | None = None
    sector_deg: float | None = None
    reason: str | None = None

    def location_dict(self) -> dict[str, Any]:
        """The fields for strict JSON."""
        return {
            "azimuth_deg": _rounded(self.azimuth_deg, 2),
            "elevation_deg": _rounded(self.elevation_deg, 2),
            "distance_m": _rounded(self.distance_m, 3),
            "confidence": _rounded(self.confidence, 4),
            "reason": self.reason,
        }


@dataclass(frozen=True, kw_only=True)
class Window(Location):
    """A stretch of the recording and what it answers; `results` is empty where no sentences were given."""

    start_s: float
    end_s: float
    results: tuple[TextMatch, ...] = ()

    @property
    def best_similarity(self) -> float:
        """Similarity of the sentence that fits best, minus infinity where there is none."""
        return max((match.similarity for match in self.results if match.similarity is not None), default=-math.inf)

    def to_dict(self) -> dict[str, Any]:
        """The fields for strict JSON."""
        fields: dict[str, Any] = {"start_s": _rounded(self.start_s, 3), "end_s": _rounded(self.end_s, 3)}
        if self.results:
            fields["results"] = [match.to_dict() for match in self.results]
        return fields | self.location_dict()


@dataclass(frozen=True, kw_only=True)
class QueryResult(Location):
    """The answer of a whole recording: how well each sentence fits at its best moment, and all windows.

    Attributes:
        file: Path of the recording, None for an array.
        results: One entry a sentence, the best first (none for a question about the place alone), each with the
            similarity of the window in which it fits best; the scores are the softmax over those.
        start_s: Where the window begins that answers for the place: that of the best sentence.
        end_s: Where it ends.
        windows: All windows in order of time; one for a recording of up to ten seconds.
        resampled_from: Sample rate of the recording where it is not the model's, else None.
        warnings: What is doubtful about the recording.
    """

    file: str | None
    results: tuple[TextMatch, ...]
    start_s: float
    end_s: float
    windows: tuple[Window, ...]
    resampled_from: int | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields for strict JSON."""
        fields: dict[str, Any] = {"file": self.file}
        if self.results:
            fields["results"] = [match.to_dict() for match in self.results]
        return (
            fields
            | self.location_dict()
            | {
                "start_s": _rounded(self.start_s, 3),
                "end_s": _rounded(self.end_s, 3),
                "windows": [window.to_dict() for window in self.windows],
                "resampled_from": self.resampled_from,
                "warnings": list(self.warnings),
            }
        )


@dataclass(frozen=True)
class HeardEvent:
    """A sound that is heard, and where.

    Models with one direction for a recording give all events of a window that same direction and distance: of two
    sounds at once it is that of the one that the model listens to.

    Attributes:
        label: Name of the sound.
        probability: Of its being there; sounds do not exclude each other.
        azimuth_deg: 0 = front, positive = left; None without a direction.
        elevation_deg: Positive = up; None without a direction.
        distance_m: Metres to the source; None without a direction.
    """

    label: str
    probability: float
    azimuth_deg: float | None = None
    elevation_deg: float | None = None
    distance_m: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields for strict JSON."""
        return {
            "label": self.label,
            "probability": _rounded(self.probability, 4),
            "azimuth_deg": _rounded(self.azimuth_deg, 2),
            "elevation_deg": _rounded(self.elevation_deg, 2),
            "distance_m": _rounded(self.distance_m, 3),
        }


@dataclass(frozen=True, kw_only=True)
class EventsWindow(Window):
    """A stretch of the recording and what is heard in it.

    Attributes:
        events: The most probable first, all from the direction of the window; empty where there is nothing to hear.
        level_db: Mean level in decibels below full scale, minus infinity for zeros.
    """

    events: tuple[HeardEvent, ...] = ()
    level_db: float = -math.inf

    def to_dict(self) -> dict[str, Any]:
        """The fields for strict JSON."""
        events = {"level_db": _rounded(self.level_db, 2), "events": [event.to_dict() for event in self.events]}
        return super().to_dict() | events


@dataclass(frozen=True, kw_only=True)
class EventsResult(QueryResult):
    """What is heard in a whole recording, and where.

    Attributes:
        events: Those of the window that answers, the most probable first; the place above is theirs.
        windows: All windows in order of time, each with its own events; one for a short recording.
    """

    results: tuple[TextMatch, ...] = ()
    windows: tuple[EventsWindow, ...]
    events: tuple[HeardEvent, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields for strict JSON."""
        return super().to_dict() | {"events": [event.to_dict() for event in self.events]}


def file_field(path: str) -> str:
    """A path as answers and JSON carry it: as given, but for bytes that are no UTF-8, which are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _rounded(value: float | None, digits: int) -> float | None:
    """A finite number with so many decimals, None for anything else: JSON knows no NaN."""
    return round(value, digits) if value is not None and math.isfinite(value) else None
