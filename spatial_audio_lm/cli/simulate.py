"""`spatial-audio-lm simulate OUT`: scenes in simulated rooms, as sound, record, sentence and plan."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatial_audio_lm.cli.options import Debug, Json
from spatial_audio_lm.cli.output import print_json, progress_bar
from spatial_audio_lm.errors import ConfigError, DataError

if TYPE_CHECKING:
    from spatial_audio_lm.language.attributes import SpatialAttributes
    from spatial_audio_lm.simulation.records import Clip, SceneRecord
    from spatial_audio_lm.simulation.rir_bank import RirBank
    from spatial_audio_lm.simulation.scene_sampling import SceneSettings

_RECEIVERS = ("foa", "binaural")
_SAMPLE_RATE = 16_000  # Hz of a bank made here: the packaged model's
_SEEDS_PER_SOUND = 4  # variants of each synthesised sound to draw from
_MAX_DRAWS = 2_000  # draws for a scene with the wanted words before giving up


def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; made if it is not there.")],
    scenes: Annotated[int, typer.Option(min=1, help="How many scenes.")] = 1,
    sound: Annotated[
        list[str] | None, typer.Option(metavar="CLASS", help="What sounds; may be given several times. Default: all.")
    ] = None,
    sources: Annotated[int, typer.Option(min=1, max=4, help="Sounds at once, in different places.")] = 1,
    direction: Annotated[
        str | None, typer.Option(metavar="front|left|back|right", help="Where the first sound comes from.")
    ] = None,
    distance: Annotated[str | None, typer.Option(metavar="near|far", help="How far away the first sound is.")] = None,
    duration: Annotated[float, typer.Option(metavar="SECONDS", help="Length of a scene.")] = 4.0,
    noise: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of scenes with background noise.")] = 0.0,
    clips: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Dry recordings with a metadata.csv (file_name, class).")
    ] = None,
    bank: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A bank of room impulse responses. Default: a small new one.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Render this scene record again (with its --bank, --clips).")
    ] = None,
    receiver: Annotated[
        str | None, typer.Option(metavar="|".join(_RECEIVERS), help="What listens. Default: foa, or what --bank has.")
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="sphere|sphere:METRES|FILE",
            help="Head of a binaural receiver: a sphere (default, each room with its own size), or a SOFA or NPZ file.",
        ),
    ] = None,
    rooms: Annotated[int, typer.Option(min=1, help="Rooms of the bank that is made where none is given.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same scenes.")] = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Simulate spatial recordings (first-order ambisonics or binaural) with known truth.

    Writes for each scene a sound file, its record (.json: everything that is needed to render it again, bit for bit),
    and a plan of the room (.png), and prints a sentence that is true of it. Without --clips the sounds are synthesised.

    Example: spatial-audio-lm simulate demo --sound siren --direction left --distance far
    """
    from spatial_audio_lm.simulation.clips import ClipStore
    from spatial_audio_lm.simulation.records import SceneRecord
    from spatial_audio_lm.simulation.scene_sampling import SceneSettings

    if record is not None and bank is None:
        raise ConfigError("a record is rendered with the bank it was made with: give --bank FOLDER")
    # Refuses impossible values before any room is made.
    settings = SceneSettings(duration_s=duration, num_sources=sources, noise_rate=noise)
    _check_words(direction, distance)
    _check_receiver(receiver, head, bank)
    out.mkdir(parents=True, exist_ok=True)
    if record is not None:
        assert bank is not None
        opened = _opened_bank(bank, receiver)
        wanted: Iterator[tuple[str, SceneRecord]] = iter([(record.stem, SceneRecord.load(record))])
        scenes = 1
    else:
        opened = (
            _opened_bank(bank, receiver)
            if bank is not None
            else _small_bank(out / "bank", rooms, max(sources, 4), seed, receiver or "foa", head or "sphere")
        )
        by_class = _clips_by_class(clips, sound or [], opened.settings.sample_rate)
        words = {"direction": direction, "distance": distance}
        wanted = (
            (f"scene-{index:04d}", _draw(settings, opened, by_class, seed, index, words)) for index in range(scenes)
        )
    store = ClipStore(clips, opened.settings.sample_rate)
    with progress_bar("Rendering", unit="scene") as advance:
        for number, (name, scene) in enumerate(wanted):
            report = _write(scene, opened, store, out / name, seed + number)
            if json:
                print_json(report)
            else:
                print(f"{report['audio']}: {report['caption']}")
            advance(number + 1, scenes)


def _check_receiver(receiver: str | None, head: str | None, bank: Path | None) -> None:
    if receiver is not None and receiver not in _RECEIVERS:
        raise ConfigError(f"--receiver is {receiver!r}; one of {', '.join(_RECEIVERS)} is wanted")
    if head is not None and bank is not None:
        raise ConfigError(
            "--head is for rooms that are simulated here; the heads of --bank were chosen when it was made"
        )
    if head is not None and receiver != "binaural":
        raise ConfigError("only a binaural receiver has a head: give --receiver binaural as well")


def _opened_bank(folder: Path, receiver: str | None) -> "RirBank":
    from spatial_audio_lm.simulation.rir_bank import RirBank

    bank = RirBank(folder)
    if receiver not in (None, bank.settings.receiver_format):
        raise ConfigError(
            f"--receiver is {receiver}, the bank {folder} was made with {bank.settings.receiver_format}: leave "
            "--receiver out, or give another bank"
        )
    return bank


def _small_bank(folder: Path, rooms: int, places: int, seed: int, receiver: str, head: str) -> "RirBank":
    """A bank of a few rooms; made once, opened the next time."""
    from spatial_audio_lm.simulation.head_files import HeadStore
    from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, begin_bank, finish_bank, process_shard

    heads = HeadStore((head,))
    settings = BankSettings(
        split="test",
        num_rooms=rooms,
        sources_per_room=places,
        sample_rate=_SAMPLE_RATE,
        receiver_format="binaural" if receiver == "binaural" else "foa",
        rooms_per_shard=1,
        seed=seed,
        heads=(heads.record(head),) if receiver == "binaural" else (),
    )
    begin_bank(folder, settings)
    if (folder / "complete.json").exists():
        return RirBank(folder)
    with progress_bar("Simulating rooms", unit="room") as advance:
        for shard in range(settings.num_shards):
            process_shard(shard, settings, folder, heads)
            advance(shard + 1, settings.num_shards)
    return finish_bank(folder, settings)


def _check_words(direction: str | None, distance: str | None) -> None:
    from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS

    for name, word in (("direction", direction), ("distance", distance)):
        if word is not None and word not in ATTRIBUTE_WORDS[name]:
            raise ConfigError(f"--{name} is {word!r}; one of {', '.join(ATTRIBUTE_WORDS[name])} is wanted")


def _clips_by_class(folder: Path | None, wanted: list[str], sample_rate: int) -> "dict[str, list[Clip]]":
    from spatial_audio_lm.data.clip_folders import LabelledClip, folder_clips, procedural_clips
    from spatial_audio_lm.language.vocabulary import sound_class
    from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED, SOUND_KINDS

    names = [sound_class(name.strip().lower().replace(" ", "_")).id for name in wanted]
    found: list[LabelledClip]
    if folder is not None:
        found = [item for item in folder_clips(folder) if not names or item.sound_class in names]
    else:
        unknown = sorted(set(names) - set(SOUND_KINDS))
        if unknown:
            raise DataError(
                f"{unknown[0]} is not synthesised: give recordings of it (--clips), or one of {', '.join(SOUND_KINDS)}"
            )
        seeds = range(FIRST_UNSEEN_SEED, FIRST_UNSEEN_SEED + _SEEDS_PER_SOUND)
        found = procedural_clips(names or SOUND_KINDS, seeds, sample_rate)
    by_class: dict[str, list[Clip]] = {}
    for item in found:
        by_class.setdefault(item.sound_class, []).append(item.clip)
    absent = sorted(set(names) - set(by_class))
    if absent or not by_class:
        raise DataError(f"{folder} has no clip of {', '.join(absent) or 'any class'}")
    return by_class


def _draw(
    settings: "SceneSettings",
    bank: "RirBank",
    clips: "dict[str, list[Clip]]",
    seed: int,
    index: int,
    words: dict[str, str | None],
) -> "SceneRecord":
    """The first of a fixed sequence of draws for this scene whose first sound is where it was wanted."""
    from spatial_audio_lm.simulation.scene_sampling import sample_scene

    for number in itertools.count(index * _MAX_DRAWS):
        scene = sample_scene(settings, bank, clips, seed, number)
        said = _attributes(scene)
        if all(word is None or getattr(said, name) == word for name, word in words.items()):
            return scene
        if number + 1 == (index + 1) * _MAX_DRAWS:
            break
    described = " and ".join(word for word in words.values() if word)
    raise DataError(f"no place of the bank is {described}: make a bank of more rooms (--rooms), or ask for less")


def _attributes(scene: "SceneRecord") -> "SpatialAttributes":
    from spatial_audio_lm.language.attributes import spatial_attributes

    first = scene.sources[0]
    return spatial_attributes(
        first.azimuth_deg, first.elevation_deg, first.distance_m, scene.room.floor_area_m2, scene.room.t30_s
    )


def _write(scene: "SceneRecord", bank: "RirBank", store: Any, stem: Path, seed: int) -> dict[str, Any]:
    """Sound, record and plan of one scene; the record last: where it is, the others are."""
    import numpy as np

    from spatial_audio_lm.language.templates import write_caption
    from spatial_audio_lm.simulation.scenes import render_scene
    from spatial_audio_lm.viz.figures import save_figure
    from spatial_audio_lm.viz.scenes import plot_scene

    first = scene.sources[0]
    caption = write_caption(first.sound_class, _attributes(scene), np.random.default_rng(seed))
    audio, picture, record = (stem.with_suffix(suffix) for suffix in (".wav", ".png", ".json"))
    render_scene(scene, bank, store).save(audio)
    save_figure(plot_scene(scene, title=caption), picture)
    scene.save(record)
    return {
        "audio": str(audio),
        "record": str(record),
        "picture": str(picture),
        "bank": str(bank.folder),
        "caption": caption,
        "sources": [
            {
                "sound_class": source.sound_class,
                "azimuth_deg": round(source.azimuth_deg, 2),
                "elevation_deg": round(source.elevation_deg, 2),
                "distance_m": round(source.distance_m, 3),
            }
            for source in scene.sources
        ],
    }
