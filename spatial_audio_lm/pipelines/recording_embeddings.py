"""A recording as one vector, by any encoder that gives scene embeddings: what `spatial-audio-lm embed` writes."""

from spatial_audio_lm.pipelines.querying import Embeddings
from spatial_audio_lm.pipelines.recordings import OpenRecording, Recording, missing_band
from spatial_audio_lm.pipelines.scene_embeddings import SceneEncoder


class RecordingEmbedder:
    """A scene encoder that opens recordings, hears them part by part and keeps what is to be said of them.

    Args:
        encoder: frozen.
    """

    def __init__(self, encoder: SceneEncoder):
        self.encoder = encoder

    def embed(self, audio: Recording, format: str | None = None) -> Embeddings:
        """One vector of the whole recording, as the encoder gives it: not normalised.

        A file is read as it is heard, some windows at a time (of WavJEPA twice, for its level and then its windows).

        Args:
            audio: `SpatialAudio`, a path, or a dictionary with `array`, `sampling_rate` and perhaps `format`.
            format: of a file, where its channels do not tell it.

        Raises:
            SpatialAudioError: audio that cannot be used, with the way out.
        """
        recording = OpenRecording(audio, format)
        source = recording.audio or recording.path
        assert source is not None  # one of the two is there
        parts = self.encoder.parts_of(source, format)
        vector = self.encoder.embed_parts(parts)
        warnings = parts.warnings + missing_band(parts.resampled_from or parts.sample_rate, parts.sample_rate)
        return Embeddings(recording.file, vector, (0.0,), (parts.duration_s,), parts.resampled_from, warnings)
