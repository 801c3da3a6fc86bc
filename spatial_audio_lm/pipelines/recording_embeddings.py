"""A recording as one vector, by any encoder that gives scene embeddings: what `spatial-audio-lm embed` writes."""

from spatial_audio_lm.pipelines.querying import Embeddings
from spatial_audio_lm.pipelines.recordings import OpenRecording, Recording
from spatial_audio_lm.pipelines.scene_embeddings import SceneEncoder
from spatial_audio_lm.signal.spatial_audio import SpatialAudio


class RecordingEmbedder:
    """A scene encoder that opens recordings and keeps what is to be said of them.

    Args:
        encoder: frozen.
    """

    def __init__(self, encoder: SceneEncoder):
        self.encoder = encoder

    def embed(self, audio: Recording, format: str | None = None) -> Embeddings:
        """One vector of the whole recording, as the encoder gives it: not normalised.

        Args:
            audio: `SpatialAudio`, a path, or a dictionary with `array`, `sampling_rate` and perhaps `format`.
            format: of a file, where its channels do not tell it.

        Raises:
            SpatialAudioError: audio that cannot be used, with the way out.
        """
        recording = OpenRecording(audio, format)
        sound = recording.audio
        if sound is None:
            assert recording.path is not None  # one of the two is there
            sound = SpatialAudio.load(recording.path, format)
        found = self.encoder.embed([sound])
        resampled_from = sound.sample_rate if found.resampled else None
        return Embeddings(recording.file, found.vectors, (0.0,), (sound.duration_s,), resampled_from, sound.warnings)
