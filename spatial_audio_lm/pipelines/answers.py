"""What a recording answers: how well sentences fit, where the sound comes from, and when."""

import math
import os
from dataclasses import dataclass
from typing import Any


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
        reason: Why there is no direction ("mono", "identical channels", "silence", ...).
    """

    azimuth_deg: float | None = None
    elevation_deg: float | None = None
    distance_m: float | None = None
    confidence: float | None = None
    spread_deg: float | None = None
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


def file_field(path: str) -> str:
    """A path as answers and JSON carry it: as given, but for bytes that are no UTF-8, which are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _rounded(value: float | None, digits: int) -> float | None:
    """A finite number with so many decimals, None for anything else: JSON knows no NaN."""
    return round(value, digits) if value is not None and math.isfinite(value) else None
