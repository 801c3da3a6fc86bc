"""A file of any length as one vector: that of the whole recording, with its messages, in memory that stays flat."""

import ctypes
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from spatial_audio_lm.errors import AudioValueError, ChannelError, FormatWarning
from spatial_audio_lm.models.audio_mae.configuration_audio_mae import AudioMAEConfig
from spatial_audio_lm.models.audio_mae.feature_extraction_audio_mae import AudioMAEFeatureExtractor
from spatial_audio_lm.models.audio_mae.modeling_audio_mae import AudioMAEModel
from spatial_audio_lm.pipelines import scene_embeddings
from spatial_audio_lm.pipelines.recording_embeddings import RecordingEmbedder
from spatial_audio_lm.pipelines.scene_embeddings import SceneEncoder
from spatial_audio_lm.signal.spatial_audio import CHANNELS_OF_FORMAT, SpatialAudio

MEGABYTE = 1024**2
SIZES: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
GRAM = SIZES | {"num_frames": 48, "decoder_windows": [2, 0]}
WAVJEPA = SIZES | {
    "window_samples": 8_159,  # half a second
    "conv_layers": [(4, 10, 5), *[(4, 3, 2)] * 4, (8, 2, 2)],
    "average_top_k": 1,
}


def audio_mae() -> SceneEncoder:
    torch.manual_seed(0)
    model = AudioMAEModel(AudioMAEConfig(num_frames=128, **SIZES))
    return SceneEncoder(model, AudioMAEFeatureExtractor(num_frames=128))


ENCODERS: dict[str, tuple[str, Callable[..., SceneEncoder]]] = {
    "wavjepa": ("mono", lambda **options: SceneEncoder.new("wavjepa", WAVJEPA, 0, **options)),
    "wavjepa_nat": (
        "binaural",
        lambda **options: SceneEncoder.new("wavjepa", WAVJEPA | {"num_channels": 2}, 0, **options),
    ),
    "gram_mono": ("mono", lambda **options: SceneEncoder.new("gram", GRAM | {"audio_format": "mono"}, 0, **options)),
    "gram": ("binaural", lambda **options: SceneEncoder.new("gram", GRAM, 0, **options)),
    "gram_foa": ("foa", lambda **options: SceneEncoder.new("gram", GRAM | {"audio_format": "foa"}, 0, **options)),
    "audio_mae": ("mono", audio_mae),
}


@pytest.fixture(params=[*ENCODERS, "dspast", "spatial_ast"])
def encoder(request: pytest.FixtureRequest) -> tuple[str, SceneEncoder]:
    """The format that an encoder hears, and the encoder."""
    if request.param in ENCODERS:
        format, make = ENCODERS[request.param]
        return format, make()
    return "binaural", SceneEncoder.from_pretrained(request.getfixturevalue(f"tiny_{request.param}"))


def noise(format: str, rate: int, samples: int) -> SpatialAudio:
    """Louder in its middle, so that no window is like another."""
    generator = torch.Generator().manual_seed(samples)
    envelope = torch.hann_window(samples, periodic=False).mul(0.1).add(0.01)
    sound = torch.randn(CHANNELS_OF_FORMAT[format], samples, generator=generator)
    return SpatialAudio((sound * envelope).clamp(-0.9, 0.9), rate, format)


@pytest.mark.filterwarnings("ignore:long.wav. read as AmbiX")  # which such noise is not, and all say so
@pytest.mark.parametrize("windows", [1, 3])
def test_a_file_gives_what_the_whole_recording_gives(
    encoder: tuple[str, SceneEncoder], windows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    format, heard_by = encoder
    rate = heard_by.sampling_rate
    window = {"wavjepa": 8_159, "gram": 48 * 320}.get(heard_by.kind) or heard_by.extractor.chunk_samples
    lengths = [window // 3, window, window + 1, 3 * window + 250, 4 * window - 1, 7 * window + window // 2]
    monkeypatch.setattr(scene_embeddings, "_ROWS_AT_ONCE", windows)
    for samples, own_rate in [*((length, rate) for length in lengths), (round(5.3 * window), 11_025)]:
        noise(format, own_rate, samples).save(tmp_path / "long.wav")
        whole = SpatialAudio.load(tmp_path / "long.wav")
        expected = heard_by.embed([whole]).vectors
        for recording in (tmp_path / "long.wav", whole):
            found = RecordingEmbedder(heard_by).embed(recording)
            torch.testing.assert_close(found.embeddings, expected, atol=2e-5, rtol=1e-4, msg=f"{samples} samples")
            assert (found.start_s, found.end_s) == ((0.0,), (whole.duration_s,))
            assert found.resampled_from == (own_rate if own_rate != rate else None)
            assert found.file == str(tmp_path / "long.wav")
            low = [f"nothing above {own_rate / 2:g} Hz"] if own_rate < rate else []
            for warning, said in zip(found.warnings, [*whole.warnings, *low], strict=True):
                assert said in warning


@pytest.mark.parametrize("name, pooling", [("wavjepa_nat", "channels"), ("gram", "cls"), ("gram", "mean")])
def test_every_pooling(name: str, pooling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    format, make = ENCODERS[name]
    heard_by = make(pooling=pooling)
    noise(format, heard_by.sampling_rate, 61_000).save(tmp_path / "long.wav")
    monkeypatch.setattr(scene_embeddings, "_ROWS_AT_ONCE", 2)
    expected = heard_by.embed([SpatialAudio.load(tmp_path / "long.wav")]).vectors
    found = RecordingEmbedder(heard_by).embed(tmp_path / "long.wav").embeddings
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def test_elsa_hears_its_crop_of_the_whole(tiny_elsa: Path, tmp_path: Path) -> None:
    elsa = SceneEncoder.from_pretrained(tiny_elsa)
    noise("foa", 16_000, 16_000 * 23).save(tmp_path / "long.wav")
    expected = elsa.embed([SpatialAudio.load(tmp_path / "long.wav")]).vectors
    torch.testing.assert_close(RecordingEmbedder(elsa).embed(tmp_path / "long.wav").embeddings, expected)


def test_one_channel_where_two_are_heard(tiny_dspast: Path, tmp_path: Path) -> None:
    noise("mono", 16_000, 200_000).save(tmp_path / "mono.wav")
    mono = SpatialAudio.load(tmp_path / "mono.wav")
    both = SpatialAudio(mono.waveform.expand(2, -1).contiguous(), 16_000, "binaural")

    def encoders(**options: Any) -> list[SceneEncoder]:
        new = [ENCODERS[name][1](**options) for name in ("wavjepa_nat", "gram")]
        return [*new, SceneEncoder.from_pretrained(tiny_dspast, **options)]

    for refusing, duplicating in zip(encoders(), encoders(mono="duplicate"), strict=True):
        with pytest.raises(ChannelError, match=r"hears binaural .* mono='duplicate'") as whole:
            refusing.embed([mono])
        with pytest.raises(ChannelError) as in_parts:
            RecordingEmbedder(refusing).embed(tmp_path / "mono.wav")
        assert str(in_parts.value) == str(whole.value)
        found = RecordingEmbedder(duplicating).embed(tmp_path / "mono.wav").embeddings
        torch.testing.assert_close(found, refusing.embed([both]).vectors, atol=2e-5, rtol=1e-4)


def test_a_file_that_was_cut_off(tmp_path: Path) -> None:
    for suffix in ("wav", "flac"):
        path = tmp_path / f"long.{suffix}"
        noise("mono", 16_000, 300_000).save(path)
        path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
        with pytest.warns(FormatWarning):
            whole = SpatialAudio.load(path)
        for name in ("wavjepa", "audio_mae"):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = RecordingEmbedder(ENCODERS[name][1]()).embed(path)
            assert [str(one.message) for one in caught] == list(found.warnings) == list(whole.warnings)
            assert found.end_s == (whole.duration_s,)


def test_what_is_too_short_or_silent_is_refused_as_before(tmp_path: Path) -> None:
    for name, samples, message in (
        ("wavjepa", 200, "200 samples, which make no frames"),
        ("gram_mono", 400, "400 samples are too few for a window of 1024"),
        ("audio_mae", 300, "300 samples"),
    ):
        embedder = RecordingEmbedder(ENCODERS[name][1]())
        noise("mono", embedder.encoder.sampling_rate, samples).save(tmp_path / "short.wav")
        with pytest.raises(AudioValueError, match=message):
            embedder.embed(tmp_path / "short.wav")
    SpatialAudio(torch.zeros(1, 90_000), 16_000, "mono").save(tmp_path / "silent.wav")
    with pytest.raises(AudioValueError, match="all samples of the recording are 0"):
        RecordingEmbedder(ENCODERS["wavjepa"][1]()).embed(tmp_path / "silent.wav")


def most_bytes(work: Callable[[], object]) -> int:
    """How much more memory than before this process has held during some work."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what others have freed would hide what is taken
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    except (OSError, AttributeError):
        pytest.skip("needs glibc and /proc/self/clear_refs")
    before = kilobytes("VmRSS")
    work()
    return 1024 * (kilobytes("VmHWM") - before)


def kilobytes(name: str) -> int:
    """A number of /proc/self/status."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1])


@pytest.mark.parametrize("encoder", ["wavjepa_nat", "gram", "dspast"], indirect=True)
def test_memory_does_not_grow_with_the_file(
    encoder: tuple[str, SceneEncoder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    format, heard_by = encoder
    monkeypatch.setattr(scene_embeddings, "_ROWS_AT_ONCE", 4)
    channels, minute = CHANNELS_OF_FORMAT[format], 60 * 16_000
    rng = np.random.default_rng(0)
    for name, minutes in (("short", 1), ("long", 6)):
        with soundfile.SoundFile(tmp_path / f"{name}.wav", "w", 16_000, channels, subtype="PCM_16") as file:
            for _ in range(minutes):
                file.write(0.1 * rng.standard_normal((minute, channels), dtype=np.float32))
    embedder = RecordingEmbedder(heard_by)
    embedder.embed(tmp_path / "short.wav")  # what is made once

    def least_of_three(name: str) -> int:  # what the allocator keeps differs from run to run
        return min(most_bytes(lambda: embedder.embed(tmp_path / f"{name}.wav")) for _ in range(3))

    short, long = least_of_three("short"), least_of_three("long")
    decoded = 5 * minute * channels * 4
    assert long - short < decoded / 2, f"{(long - short) / MEGABYTE:.1f} MiB more for {decoded / MEGABYTE:.1f} MiB"
