"""Rooms and places: inside ELSA's ranges, independent where they must be, and geometrically true."""

import numpy as np
import pytest

from spatial_audio_lm.signal.conventions import direction_of
from spatial_audio_lm.simulation import rooms
from spatial_audio_lm.simulation.receivers import turn_horizontally


@pytest.fixture(scope="module")
def drawn() -> list[tuple[rooms.Room, rooms.Placement]]:
    generator = np.random.default_rng(0)
    made = [rooms.sample_room(generator) for _ in range(400)]
    return [(room, rooms.sample_placement(room, generator, 3)) for room in made]


def test_eyring_and_its_inverse_agree():
    size = (6.0, 5.0, 3.0)
    assert rooms.eyring_t60(size, rooms.eyring_absorption(size, 0.5)) == pytest.approx(0.5, rel=1e-12)
    # 24 ln(10) V / (c S a) for small absorption is Sabine's 0.161 V / (S a)
    assert rooms.eyring_t60(size, 1e-6) == pytest.approx(0.161 * 90 / (126 * 1e-6), rel=0.01)


def test_ranges_are_those_of_the_paper(drawn):
    area = np.array([room.floor_area_m2 for room, _ in drawn])
    assert 13.3 <= area.min() < 16 and 230 < area.max() <= 277.4
    distance = np.concatenate([place.distance_m for _, place in drawn])
    assert distance.min() >= 0.5 and distance.max() <= 4.0
    elevation = np.concatenate([place.elevation_deg for _, place in drawn])
    assert elevation.min() >= -47.5 and elevation.max() <= 48.7
    for words in ((elevation > 40), (elevation < -40), (distance < 1), (distance > 2)):
        assert words.mean() > 0.12  # every word of the paper's table is common


def test_reverberation_is_independent_of_floor_area(drawn):
    area = np.log([room.floor_area_m2 for room, _ in drawn])
    decay = np.log([room.eyring_t60_s[3] for room, _ in drawn])
    assert abs(np.corrcoef(area, decay)[0, 1]) < 0.15  # three standard errors of 400 independent pairs
    distance = np.concatenate([place.distance_m for _, place in drawn])
    assert abs(np.corrcoef(np.repeat(area, 3), distance)[0, 1]) < 0.1


def test_azimuth_is_uniform(drawn):
    azimuth = np.concatenate([place.azimuth_deg for _, place in drawn])
    counts, _ = np.histogram(azimuth, bins=8, range=(-180, 180))
    assert counts.min() > 0.7 * len(azimuth) / 8


def test_positions_are_in_the_room_and_where_the_angles_say(drawn):
    for room, place in drawn[:50]:
        for position, azimuth, elevation, distance in zip(
            place.sources_m, place.azimuth_deg, place.elevation_deg, place.distance_m, strict=True
        ):
            assert all(0 < p < side for p, side in zip(position, room.size_m, strict=True))
            seen = turn_horizontally(np.subtract(position, place.receiver_m), -place.yaw_deg)
            assert np.linalg.norm(seen) == pytest.approx(distance, abs=1e-6)
            assert direction_of(seen) == pytest.approx((azimuth, elevation), abs=1e-4)


def test_walls_absorb_what_the_decay_asks_for(drawn):
    for room, _ in drawn[:50]:
        absorption = np.array(room.absorption)
        assert absorption.shape == (6, len(rooms.BAND_CENTRES_HZ))
        assert (absorption >= 0.01).all() and (absorption <= 0.97).all()
        mean = (rooms.wall_areas(room.size_m)[:, None] * absorption).sum(0) / rooms.wall_areas(room.size_m).sum()
        assert rooms.eyring_t60(room.size_m, mean) == pytest.approx(room.eyring_t60_s, rel=1e-9)


def test_rooms_are_a_function_of_the_generator():
    first, second = (rooms.sample_room(np.random.default_rng([7, 3])) for _ in range(2))
    assert first == second
    assert first != rooms.sample_room(np.random.default_rng([7, 4]))
