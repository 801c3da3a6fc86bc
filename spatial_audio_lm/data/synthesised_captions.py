"""A small captioned data set of synthesised sounds in a user's layout, to see that a job runs without any data."""

import csv
import io
from pathlib import Path

import torch

from spatial_audio_lm.data.captioned_clips import CaptionedSource
from spatial_audio_lm.files import remove_unfinished, write_whole
from spatial_audio_lm.language.vocabulary import sound_class
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.sounds import SOUND_KINDS, synthesize

SILENCE_S = 0.25  # before and after each sound, as recordings have it
_CAPTIONS = ("{} can be heard", "someone recorded {}")


def synthesised_source(
    folder: Path, num_clips: int, first_seed: int, sample_rate: int, seconds: float
) -> CaptionedSource:
    """Write sounds of all kinds in turn, with two captions each, and say where they are.

    Args:
        folder: gets audio/ and captions.csv.
        num_clips: how many.
        first_seed: of the sounds.
        sample_rate: Hz.
        seconds: that each lasts, without the silence around it.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file_name", "caption_1", "caption_2", "licence"])
    kinds = list(SOUND_KINDS)
    silence = torch.zeros(round(SILENCE_S * sample_rate))
    remove_unfinished(folder / "audio")
    for number in range(num_clips):
        kind, seed = kinds[number % len(kinds)], first_seed + number // len(kinds)
        sound = torch.as_tensor(synthesize(kind, seed, sample_rate, seconds))
        path = folder / "audio" / f"{kind}-{seed}.flac"
        if not path.exists():
            SpatialAudio.from_array(torch.cat([silence, sound, silence]), sample_rate).save(path)
        label = sound_class(kind).label
        writer.writerow([path.name, *(text.format(label) for text in _CAPTIONS), "synthesised"])
    write_whole(folder / "captions.csv", table.getvalue().encode())
    return CaptionedSource(
        str(folder / "audio"), str(folder / "captions.csv"), "{file_name}", ("caption_1", "caption_2"), "licence"
    )
