"""Plane waves where they belong, rotations that compose, and declarations that are found out."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial_audio_lm.errors import ChannelError, FormatError
from spatial_audio_lm.signal.ambisonics import (
    FOA_CONVENTIONS,
    convert_foa,
    encode_foa,
    intensity_to_energy,
    is_copy,
    mirror_foa,
    rotate_foa,
    rotation_matrix,
    suspected_format,
)
from spatial_audio_lm.signal.conventions import unit_vector

RATE = 16_000
MAIN = [(0, 0), (90, 0), (180, 0), (-90, 0), (0, 90), (0, -90)]
OBLIQUE = [(a, e) for a, e in itertools.product((45, 135, -135, -45), (35.264389682754654, -35.264389682754654))]
angles = st.floats(-360, 360)


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return torch.randn(2 * RATE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("azimuth", "elevation", "channel", "sign"),
    [(0, 0, 3, 1), (90, 0, 1, 1), (180, 0, 3, -1), (-90, 0, 1, -1), (0, 90, 2, 1), (0, -90, 2, -1)],
)
def test_main_directions(noise: torch.Tensor, azimuth: float, elevation: float, channel: int, sign: int) -> None:
    foa = encode_foa(noise, azimuth, elevation)
    torch.testing.assert_close(foa[0], noise)
    torch.testing.assert_close(foa[channel], sign * noise)
    for other in {1, 2, 3} - {channel}:
        assert foa[other].abs().max() < 1e-6


@pytest.mark.parametrize(("azimuth", "elevation"), OBLIQUE)
def test_oblique_directions(noise: torch.Tensor, azimuth: float, elevation: float) -> None:
    _, y, z, x = encode_foa(noise, azimuth, elevation)
    third = 1 / math.sqrt(3)
    torch.testing.assert_close(y, math.copysign(third, azimuth) * noise)
    torch.testing.assert_close(z, math.copysign(third, elevation) * noise)
    torch.testing.assert_close(x, math.copysign(third, 90 - abs(azimuth)) * noise)


def test_encode_takes_a_direction_for_each_item(noise: torch.Tensor) -> None:
    batch = encode_foa(noise.expand(3, -1), torch.tensor([0.0, 90.0, -90.0]), torch.tensor([0.0, 0.0, 45.0]))
    assert batch.shape == (3, 4, len(noise))
    torch.testing.assert_close(batch[2], encode_foa(noise, -90, 45))


def test_rotations_turn_the_way_they_say(noise: torch.Tensor) -> None:
    front, left, up = encode_foa(noise, 0, 0), encode_foa(noise, 90, 0), encode_foa(noise, 0, 90)
    torch.testing.assert_close(rotate_foa(front, yaw_deg=90), left, atol=1e-6, rtol=0)
    torch.testing.assert_close(rotate_foa(front, pitch_deg=90), up, atol=1e-6, rtol=0)
    torch.testing.assert_close(rotate_foa(left, roll_deg=90), up, atol=1e-6, rtol=0)
    torch.testing.assert_close(rotate_foa(left, yaw_deg=90), encode_foa(noise, 180, 0), atol=1e-6, rtol=0)


@settings(max_examples=40, deadline=None)
@given(angles, angles, angles, st.floats(-180, 180), st.floats(-90, 90))
def test_rotation_properties(yaw: float, pitch: float, roll: float, azimuth: float, elevation: float) -> None:
    foa = encode_foa(torch.randn(64, dtype=torch.float64), azimuth, elevation)
    turned = rotate_foa(foa, yaw, pitch, roll)
    # energy is kept, W is untouched
    torch.testing.assert_close(turned.square().sum(), foa.square().sum())
    torch.testing.assert_close(turned[0], foa[0])
    # the field turns as its source does
    source = rotation_matrix(yaw, pitch, roll) @ torch.as_tensor(unit_vector(azimuth, elevation))
    torch.testing.assert_close(turned[[3, 1, 2]], source[:, None] * foa[0])
    # + a, then - a, each by itself
    for name, angle in (("yaw_deg", yaw), ("pitch_deg", pitch), ("roll_deg", roll)):
        torch.testing.assert_close(rotate_foa(rotate_foa(foa, **{name: angle}), **{name: -angle}), foa)
    # yaw is a group, and moves the azimuth alone
    torch.testing.assert_close(rotate_foa(rotate_foa(foa, yaw), roll), rotate_foa(foa, yaw + roll))
    torch.testing.assert_close(rotate_foa(foa, yaw), encode_foa(foa[0], azimuth + yaw, elevation))


def test_rotation_of_a_batch_is_item_by_item(noise: torch.Tensor) -> None:
    foa = encode_foa(noise, 20, 30).expand(3, -1, -1)
    turned = rotate_foa(foa, yaw_deg=torch.tensor([0.0, 90.0, -45.0]))
    for item, yaw in zip(turned, (0, 90, -45), strict=True):
        torch.testing.assert_close(item, encode_foa(noise, 20 + yaw, 30), atol=1e-5, rtol=0)
    assert turned.dtype == torch.float32


@pytest.mark.parametrize(
    ("plane", "mirrored"), [("left_right", (-20, 30)), ("front_back", (160, 30)), ("up_down", (20, -30))]
)
def test_mirror(noise: torch.Tensor, plane: str, mirrored: tuple[float, float]) -> None:
    foa = encode_foa(noise, 20, 30)
    torch.testing.assert_close(mirror_foa(foa, plane), encode_foa(noise, *mirrored), atol=1e-5, rtol=0)
    torch.testing.assert_close(mirror_foa(mirror_foa(foa, plane), plane), foa)


def test_fuma_n3d_and_gram_by_hand(noise: torch.Tensor) -> None:
    w, y, z, x = foa = encode_foa(noise, 20, 30)
    torch.testing.assert_close(convert_foa(foa, "ambix", "fuma"), torch.stack([w / math.sqrt(2), x, y, z]))
    torch.testing.assert_close(convert_foa(foa, "ambix", "n3d"), torch.stack([w, y * 3**0.5, z * 3**0.5, x * 3**0.5]))
    torch.testing.assert_close(
        convert_foa(foa, "ambix", "gram"), torch.stack([w, z * 3**0.5, -x * 3**0.5, -y * 3**0.5])
    )


@pytest.mark.parametrize(("source", "target"), list(itertools.product(FOA_CONVENTIONS, repeat=2)))
def test_conventions_round_trip(source: str, target: str) -> None:
    foa = torch.randn(2, 4, 50, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(convert_foa(convert_foa(foa, source, target), target, source), foa)


@pytest.mark.parametrize(("azimuth", "elevation"), MAIN + OBLIQUE + [(17.0, -5.0)])
def test_intensity_to_energy_of_a_plane_wave(noise: torch.Tensor, azimuth: float, elevation: float) -> None:
    foa = encode_foa(noise, azimuth, elevation)
    for convention, ratio in (("ambix", 1.0), ("fuma", 2**0.5), ("n3d", 3**0.5)):
        measured = intensity_to_energy(convert_foa(foa, "ambix", convention), RATE)
        assert measured == pytest.approx(ratio, rel=0.03)


def room(dry: torch.Tensor, reverb_s: float, direct_db: float) -> torch.Tensor:
    """A source with a diffuse exponential tail: many plane waves from everywhere."""
    generator = torch.Generator().manual_seed(3)
    foa = encode_foa(dry, 30, 10)
    length = round(reverb_s * RATE)
    tail = torch.zeros(4, length)
    for _ in range(60):
        direction = torch.randn(3, generator=generator)
        direction = direction / direction.norm()
        sparse = torch.randn(length, generator=generator) * (torch.rand(length, generator=generator) < 0.02)
        tail += torch.cat([torch.ones(1), direction[[1, 2, 0]]])[:, None] * sparse
    tail = tail * torch.exp(-6.9 * torch.arange(length) / length)
    n = dry.shape[-1] + length
    wet = torch.fft.irfft(torch.fft.rfft(tail, n) * torch.fft.rfft(dry, n), n)[:, : dry.shape[-1]]
    wet = wet * (foa[0].square().mean() / wet[0].square().mean()).sqrt() * 10 ** (-direct_db / 20)
    return foa + wet


@pytest.mark.parametrize("direct_db", [20.0, 5.0, 0.0])
def test_wrong_declarations_are_found_in_rooms(noise: torch.Tensor, direct_db: float) -> None:
    foa = room(noise, 0.4, direct_db)
    assert suspected_format(foa, RATE) is None
    assert suspected_format(convert_foa(foa, "ambix", "fuma"), RATE) == "fuma"
    assert suspected_format(convert_foa(foa, "ambix", "n3d"), RATE) == "n3d"


def test_noise_silence_and_copies_are_no_wrong_declaration(noise: torch.Tensor) -> None:
    independent = torch.randn(4, 2 * RATE, generator=torch.Generator().manual_seed(5))
    assert suspected_format(independent, RATE) is None  # its energies look like N3D
    assert suspected_format(encode_foa(noise, 30, 0) + 0.5 * independent, RATE) is None
    assert suspected_format(noise.expand(4, -1), RATE) is None
    assert suspected_format(torch.zeros(4, RATE), RATE) is None
    assert suspected_format(encode_foa(noise[:2], 0, 0), RATE) is None
    assert intensity_to_energy(torch.zeros(4, RATE), RATE) is None
    assert intensity_to_energy(torch.stack([noise, *torch.zeros(3, len(noise))]), RATE) == 0.0


def test_copies_survive_dither_and_differ_from_near_waves(noise: torch.Tensor) -> None:
    dither = torch.randn(len(noise), generator=torch.Generator().manual_seed(2))
    assert is_copy(noise, noise + 0.003 * dither)
    assert not is_copy(noise, 0.9 * noise)
    assert not is_copy(noise, -noise)


def test_wrong_shapes_and_names_are_refused(noise: torch.Tensor) -> None:
    with pytest.raises(ChannelError, match="W, Y, Z, X"):
        rotate_foa(noise.expand(3, -1), 90)
    with pytest.raises(FormatError, match="ambix, n3d, fuma"):
        convert_foa(noise.expand(4, -1), "sn3d", "fuma")
    with pytest.raises(FormatError, match="left_right"):
        mirror_foa(noise.expand(4, -1), "diagonal")  # type: ignore[arg-type]


def test_gradients_flow() -> None:
    signal = torch.randn(100, requires_grad=True)
    mirror_foa(rotate_foa(encode_foa(signal, 10, 20), 30, 40, 50), "left_right").square().sum().backward()
    assert signal.grad is not None and torch.isfinite(signal.grad).all()
