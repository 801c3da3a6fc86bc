"""Scene records with sounds at given places: what questions need of a scene, without a bank."""

from spatial_audio_lm.simulation.records import (
    BankReference,
    Clip,
    NoiseRow,
    Receiver,
    SceneRecord,
    SceneRoom,
    SceneSource,
    SoundEvent,
)

Place = tuple[str, float, float, float]  # class, azimuth, elevation, distance


def source(place: Place) -> SceneSource:
    name, azimuth, elevation, distance = place
    event = SoundEvent(Clip("procedural", "bell", "0" * 64))
    return SceneSource(name, azimuth, elevation, distance, (1.0, 1.0, 1.0), 0, 0.0, (event,))


def scene(*places: Place, format: str = "binaural", scene_id: str = "test-0", noise: bool = False) -> SceneRecord:
    """A scene with one source a place."""
    rows = (NoiseRow("placed", 20.0, sources=(source(("wind", 10.0, 0.0, 1.0)),)),) if noise else ()
    return SceneRecord(
        scene_id=scene_id,
        sample_rate=16_000,
        duration_s=4.0,
        receiver=Receiver(format, (2.0, 2.0, 1.5), 0.0),  # type: ignore[arg-type]
        room=SceneRoom((5.0, 4.0, 3.0), 20.0, 60.0, 0.4),
        sources=tuple(source(place) for place in places),
        bank=BankReference(1, "none", "0" * 64),
        seed=0,
        noise=rows,
    )
