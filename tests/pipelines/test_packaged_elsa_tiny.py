"""The model that ships in the package, through the doors people use."""

from pathlib import Path

import pytest
import torch

import spatial_audio_lm
from spatial_audio_lm.errors import AudioFileError, CheckpointError
from spatial_audio_lm.pipelines.querying import SpatialQuery
from spatial_audio_lm.signal.ambisonics import encode_foa
from spatial_audio_lm.signal.conventions import great_circle_deg, unit_vector
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.sounds import synthesize

RATE = 16_000
MAX_BYTES = 25_000_000
SENTENCES = [
    f"{sound} from {side}"
    for sound in ("a siren", "a telephone ringing")
    for side in ("the left", "the right", "the front", "behind")
]


@pytest.fixture(scope="module")
def packaged_engine() -> SpatialQuery:
    return SpatialQuery.from_pretrained("elsa-tiny")


def _scene(kind: str, azimuth_deg: float) -> SpatialAudio:
    """A sound in the open, 4 s, with a little noise."""
    dry = synthesize(kind, 11, RATE)
    foa = encode_foa(dry, azimuth_deg, 0.0)
    noise = torch.randn(foa.shape, generator=torch.Generator().manual_seed(1))
    return SpatialAudio.from_array(foa + 0.002 * noise, RATE, format="foa")


def test_it_is_there_whole_and_small():
    folder = spatial_audio_lm.packaged("elsa-tiny")
    assert {"config.json", "model.safetensors", "README.md"} <= {path.name for path in folder.iterdir()}
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= MAX_BYTES
    with pytest.raises(CheckpointError, match="elsa-tiny"):
        spatial_audio_lm.packaged("elsa-huge")


def test_three_lines_without_network(tmp_path: Path):
    from transformers import pipeline

    _scene("siren", 90.0).save(tmp_path / "clip.wav")
    ask = pipeline("zero-shot-spatial-audio-classification")
    answer = ask(str(tmp_path / "clip.wav"), candidate_labels=SENTENCES)
    assert answer[0]["label"] == "a siren from the left"


@pytest.mark.parametrize(("kind", "name"), [("siren", "a siren"), ("telephone", "a telephone ringing")])
@pytest.mark.parametrize(
    ("azimuth_deg", "side"), [(90, "the left"), (-90, "the right"), (0, "the front"), (180, "behind")]
)
def test_the_right_sentence_of_eight_wins(packaged_engine, kind, name, azimuth_deg, side):
    result = packaged_engine.query(_scene(kind, azimuth_deg), SENTENCES)
    assert result.results[0].text == f"{name} from {side}"
    assert great_circle_deg(
        unit_vector(result.azimuth_deg, result.elevation_deg), unit_vector(azimuth_deg, 0.0)
    ) == pytest.approx(0.0, abs=20.0)
    assert 0.3 < result.confidence <= 1.0  # 1 but for rounding in the open


def test_sentences_are_told_apart_over_time(packaged_engine):
    sounds = [_scene("siren", 90.0).waveform, torch.zeros(4, 6 * RATE), _scene("telephone", -90.0).waveform]
    result = packaged_engine.query(
        SpatialAudio.from_array(torch.cat(sounds, 1), RATE), SENTENCES[::4] + SENTENCES[1::4]
    )
    best = {match.text: match for match in result.results}
    siren, telephone = best["a siren from the left"], best["a telephone ringing from the right"]
    assert siren.start_s <= 2.0 and telephone.end_s >= 12.0
    assert {match.text for match in result.results[:2]} == {siren.text, telephone.text}


def test_a_list_is_not_taken_for_its_first_recording(packaged_engine):
    with pytest.raises(AudioFileError, match="2 recordings were given"):
        packaged_engine.query([_scene("siren", 90.0), _scene("siren", -90.0)], SENTENCES)
