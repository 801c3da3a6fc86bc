"""The direction without learning: exact for one wave, steady in rooms, silent where there is none."""

import pytest
import torch

from spatial_audio_lm.signal.ambisonics import convert_foa, encode_foa, rotate_foa
from spatial_audio_lm.signal.conventions import great_circle_deg, unit_vector
from spatial_audio_lm.signal.intensity_direction import (
    DirectionEstimate,
    intensity_direction,
    mean_intensity_vector,
    no_direction_reason,
)
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

RATE = 16_000
DIRECTIONS = [(0, 0), (90, 0), (179, 0), (-90, 0), (0, 89), (0, -89)]
DIRECTIONS += [(a, e) for a in (45, 135, -135, -45) for e in (35.2644, -35.2644)]
DIRECTIONS += [(17, -5), (-123, 61)]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def locate(foa: torch.Tensor, rate: int = RATE) -> DirectionEstimate:
    return intensity_direction(SpatialAudio.from_array(foa, rate))


def error_deg(estimate: DirectionEstimate, azimuth: float, elevation: float) -> float:
    assert estimate.azimuth_deg is not None and estimate.elevation_deg is not None
    found = unit_vector(estimate.azimuth_deg, estimate.elevation_deg)
    return float(great_circle_deg(found, unit_vector(azimuth, elevation)))


@pytest.mark.parametrize(("azimuth", "elevation"), DIRECTIONS)
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_plane_waves(azimuth: float, elevation: float, rate: int) -> None:
    """Also the proof that an anechoic source, whose channels are all proportional, is given its direction."""
    estimate = locate(encode_foa(noise(rate), azimuth, elevation), rate)
    assert error_deg(estimate, azimuth, elevation) < 0.1
    assert estimate.confidence == pytest.approx(1, abs=1e-4) and estimate.reason is None
    assert -180 <= estimate.azimuth_deg < 180 and isinstance(estimate.azimuth_deg, float)  # type: ignore[operator]


def test_sixteen_bit_rounding_and_a_second_declaration_do_not_matter() -> None:
    foa = encode_foa(noise(RATE), 30, 10)
    assert error_deg(locate((foa * 32768).round() / 32768), 30, 10) < 0.1
    assert error_deg(locate(convert_foa(foa, "ambix", "n3d")), 30, 10) < 0.1


def test_noise_lowers_the_confidence_more_than_it_moves_the_direction() -> None:
    foa, hiss = encode_foa(noise(2 * RATE), 30, 10), noise(4, 2 * RATE, seed=1)
    confidences = []
    for level_db in (-40, -20, -10, 0):
        estimate = locate(foa + hiss * 10 ** (level_db / 20))
        assert error_deg(estimate, 30, 10) < 3
        confidences.append(estimate.confidence)
    assert confidences == sorted(confidences, reverse=True)
    assert locate(hiss).confidence < 0.05


def test_the_louder_of_two_sources_wins() -> None:
    both = encode_foa(noise(2 * RATE), 60, 0) + 0.2 * encode_foa(noise(2 * RATE, seed=1), -60, 0)
    assert error_deg(locate(both), 60, 0) < 10
    assert locate(both).confidence < 0.99


def test_rotation_turns_the_answer() -> None:
    foa = encode_foa(noise(RATE), 30, 10) + 0.3 * encode_foa(noise(RATE, seed=1), -100, 0)
    before, after = locate(foa), locate(rotate_foa(foa, yaw_deg=50))
    assert after.azimuth_deg == pytest.approx(before.azimuth_deg + 50, abs=0.01)  # type: ignore[operator]
    assert after.confidence == pytest.approx(before.confidence, abs=1e-4)


def test_a_batch_is_item_by_item() -> None:
    batch = torch.stack([encode_foa(noise(RATE), azimuth, 20) for azimuth in (0, 90, -100)])
    vectors = mean_intensity_vector(batch, RATE)
    assert vectors.shape == (3, 3)
    for vector, azimuth, item in zip(vectors, (0, 90, -100), batch, strict=True):
        assert great_circle_deg(vector, unit_vector(azimuth, 20)) < 0.1
        torch.testing.assert_close(vector, mean_intensity_vector(item, RATE))


def no_direction(waveform: torch.Tensor) -> str:
    audio = SpatialAudio.from_array(waveform, RATE)
    reason = no_direction_reason(audio)
    assert intensity_direction(audio) == DirectionEstimate(None, None, 0.0, reason)
    assert reason is not None
    return reason.split(":")[0]


def test_what_has_no_direction() -> None:
    mono, silence = noise(RATE), torch.zeros(RATE)
    dither = noise(4, RATE, seed=3) * 1e-3
    assert no_direction(mono[None]) == "mono"
    assert no_direction(mono.expand(4, -1)) == "identical channels"
    assert no_direction(mono.expand(4, -1) + dither) == "identical channels"
    assert no_direction(torch.stack([mono, mono, mono, silence])) == "identical channels"
    assert no_direction(torch.stack([mono, noise(RATE, seed=4), mono, noise(RATE, seed=5)])) == "identical channels"
    assert no_direction(torch.stack([mono, silence, silence, silence])) == "no dipoles"
    assert no_direction(torch.stack([mono, *(0.02 * mono).expand(3, -1)])) == "no dipoles"
    assert no_direction(torch.stack([mono, silence, silence, silence]) + dither) == "no dipoles"
    assert no_direction(torch.stack([silence, mono, silence, silence])) == "no pressure"
    assert no_direction(torch.zeros(4, RATE)) == "silence"
    assert no_direction(1e-6 * noise(4, RATE)) == "silence"
    assert no_direction(mono.expand(2, -1)) == "identical channels"
    assert no_direction(torch.zeros(2, RATE)) == "silence"


def test_binaural_has_a_direction_but_not_by_intensity() -> None:
    audio = SpatialAudio.from_array(noise(2, RATE), RATE)
    assert no_direction_reason(audio) is None
    estimate = intensity_direction(audio)
    assert estimate.azimuth_deg is None and estimate.reason is not None and estimate.reason.startswith("binaural: ")


@pytest.mark.parametrize(("azimuth", "elevation"), [(90, 0), (-90, 0), (0, 0), (180, 0), (0, 90), (0, -90)])
def test_a_source_on_an_axis_is_no_copy(azimuth: float, elevation: float) -> None:
    """There Y (or Z or X) does equal W, and the other dipoles are silent or hold a little noise."""
    foa = encode_foa(noise(RATE), azimuth, elevation)
    assert no_direction_reason(SpatialAudio.from_array(foa, RATE)) is None
    assert no_direction_reason(SpatialAudio.from_array(foa + 0.01 * noise(4, RATE, seed=2), RATE)) is None


def test_sound_outside_of_the_band_and_opposite_waves() -> None:
    rumble = torch.sin(2 * torch.pi * 20 * torch.arange(4 * RATE) / RATE)
    assert locate(encode_foa(rumble, 30, 0)).reason is None  # the window's leakage still points there
    one = noise(RATE)
    standing = encode_foa(one, 30, 0) + encode_foa(noise(RATE, seed=9), -150, 0)
    assert locate(standing).confidence < 0.1


def test_very_short_sounds() -> None:
    for time in (2, 10, 300):
        estimate = locate(encode_foa(noise(time), 45, 0))
        assert error_deg(estimate, 45, 0) < 0.1
