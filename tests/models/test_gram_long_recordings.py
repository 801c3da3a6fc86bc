"""GRAM hears a long recording part by part: the same rows, times and messages as of the whole."""

from pathlib import Path

import pytest
import torch

from spatial_audio_lm.errors import ChannelError, ConfigError, SampleRateError
from spatial_audio_lm.models.gram.configuration_gram import GramConfig
from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor
from spatial_audio_lm.models.gram.long_recordings_gram import embedded_parts
from spatial_audio_lm.models.gram.modeling_gram import GramModel
from spatial_audio_lm.signal.audio_parts import AudioParts
from spatial_audio_lm.signal.spatial_audio import CHANNELS_OF_FORMAT, SpatialAudio
from tests.models.model_cases import SMALL_GRAM, noise

RATE = 32_000
CHUNK = 16 * 320


def small(format: str, **settings: int) -> tuple[GramModel, GramFeatureExtractor]:
    config = GramConfig(audio_format=format, **(SMALL_GRAM | settings))
    torch.manual_seed(0)
    return GramModel(config).eval(), GramFeatureExtractor.for_model(config)


@pytest.mark.parametrize("samples", [4 * 320, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 200, 6 * CHUNK + 1_700])
@pytest.mark.parametrize(("format", "chunks"), [("binaural", 1), ("binaural", 2), ("foa", 2)])
def test_a_long_recording_part_by_part(samples: int, format: str, chunks: int, tmp_path: Path) -> None:
    model, extractor = small(format)
    SpatialAudio(0.1 * noise(0, CHANNELS_OF_FORMAT[format], samples), RATE, format).save(tmp_path / "long.wav")
    declared = "foa" if format == "foa" else None
    clip = SpatialAudio.load(tmp_path / "long.wav", declared)
    with torch.no_grad():
        whole = model(**extractor(clip))
    for recording in (clip, tmp_path / "long.wav"):
        parts = list(embedded_parts(model, extractor, recording, chunks, format=declared))
        assert [start for start, _ in parts] == pytest.approx([i * chunks * CHUNK / RATE for i in range(len(parts))])
        assert all(part.frame_mask.all() and not part.frame_embeddings.requires_grad for _, part in parts)
        joined = torch.cat([part.frame_embeddings for _, part in parts], dim=1)
        torch.testing.assert_close(joined, whole.frame_embeddings, atol=1e-4, rtol=1e-4)
        times = torch.cat([start + part.timestamps_s for start, part in parts], dim=1)
        torch.testing.assert_close(times, whole.timestamps_s)


def test_chunks_shorter_than_a_window_of_the_transform() -> None:
    model, extractor = small("binaural", num_frames=4, decoder_windows=[2, 0])  # 1280 samples
    extractor.n_fft, clip = 4096, SpatialAudio(0.1 * noise(0, 2, 30_000), RATE, "binaural")
    with torch.no_grad():
        whole = model(**extractor(clip))
    joined = torch.cat([part.frame_embeddings for _, part in embedded_parts(model, extractor, clip, 1)], dim=1)
    torch.testing.assert_close(joined, whole.frame_embeddings, atol=1e-4, rtol=1e-4)


def test_another_rate_and_one_channel() -> None:
    model, extractor = small("binaural")
    mono = SpatialAudio(0.1 * noise(0, 1, 20_000), 16_000, "mono")
    with pytest.raises(ChannelError, match="say mono='duplicate'"):
        next(embedded_parts(model, extractor, mono.resample(RATE)))
    with pytest.raises(SampleRateError, match="expected 32000 Hz"):
        next(embedded_parts(model, extractor, mono, mono="duplicate"))
    found = [part for _, part in embedded_parts(model, extractor, AudioParts(mono, RATE), 2, mono="duplicate")]
    with torch.no_grad():
        whole = model(**extractor(mono.resample(RATE), mono="duplicate"))
    joined = torch.cat([part.frame_embeddings for part in found], dim=1)
    torch.testing.assert_close(joined, whole.frame_embeddings, atol=1e-4, rtol=1e-4)
    for chunks in (0, 1.5):
        with pytest.raises(ConfigError, match=f"chunks is {chunks}"):
            next(embedded_parts(model, extractor, mono, chunks))  # type: ignore[arg-type]
