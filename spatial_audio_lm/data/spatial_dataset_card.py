"""The card of a spatial data set that was made: a header that the Hub reads, and what the set holds, as counted."""

from collections.abc import Mapping
from typing import Any

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def spatial_dataset_card(name: str, command: str, parts: Mapping[str, Mapping[str, Any]]) -> str:
    """The card in Markdown.

    Args:
        name: of the data set.
        command: that made it.
        parts: by name, what `recipes/make_spatial_dataset.py` counted of each.
    """
    total = sum(part["scenes"] for part in parts.values())
    size = next((label for limit, label in _SIZES if total < limit), "1M<n<10M")
    own = {licence for part in parts.values() for licence in part["licences"]} == {"synthesised"}
    details = "" if own else "license_details: every clip keeps its own licence, counted below\n"
    configs = "".join(f"      - split: {key}\n        path: {key}/**\n" for key in parts)
    lines = [
        f"""---
pretty_name: {name}
license: {"apache-2.0" if own else "other"}
{details}task_categories:
  - audio-classification
  - text-to-audio
size_categories:
  - {size}
annotations_creators:
  - machine-generated
source_datasets:
  - {"original" if own else "extended"}
tags:
  - audio
  - spatial-audio
  - ambisonics
  - audio-captioning
configs:
  - config_name: default
    data_files:
{configs}---

# {name}

Captioned sounds in simulated rooms, as first-order ambisonics, with captions that say where.

```
{command}
```

## Composition

| part | clips | scenes | hours | Hz | clips left out |
|---|---|---|---|---|---|""",
    ]
    for key, part in parts.items():
        left_out = ", ".join(f"{count} {why}" for why, count in sorted(part["left_out"].items())) or "none"
        lines.append(
            f"| {key} | {part['clips']} | {part['scenes']} | {part['hours']:.3f} | {part['sample_rate']} | {left_out} |"
        )
    lines.append("")
    for key, part in parts.items():
        settings = part["originals"]
        short = "left out" if settings["short"] == "leave_out" else f"repeated ({part['repeated']})"
        cut = f"{part['cut']} longer than {settings['longest_s']} s are heard in part"
        lines.append(
            f"- `{key}`: silence more than {settings['silence_db']:g} dB below the loudest 20 ms was cut off at both "
            f"ends, {part['trimmed_s']:.1f} s in all; clips then shorter than {settings['min_s']:g} s were {short}; "
            f"{'none was cut' if settings['longest_s'] is None else cut}. {part['mixed']} files had several channels "
            f"({settings['channels']}), {part['scaled']} were brought below full scale."
        )
    lines.append(
        """
`<part>/metadata.jsonl` has a row a scene (`captions`, `spatial_captions`, labels, `original`), `<part>/audio/` its four
channels, `originals/` the trimmed mono clips. Read with whole channels:

```python
from datasets import load_dataset
from spatial_audio_lm.data.spatial_dataset import row_audio

rows = load_dataset("json", data_files="FOLDER/PART/metadata.jsonl", split="train")
audio = row_audio("FOLDER/PART", rows[0])
```

With torchcodec, `load_dataset("audiofolder", data_dir="FOLDER/PART")` gives the four channels too; a column cast to
`Audio(num_channels=1)` is their mean, which is no recording of anything.

## Spatial annotation

AmbiX: channels W, Y, Z, X with SN3D. Azimuth in degrees, 0 = front, positive = left; elevation positive = up; distance
in metres. `scenes/<part>.jsonl` holds the `SceneRecord` of every scene, from which its file is made again bit for bit.

## Splits
"""
    )
    for key, part in parts.items():
        lines.append(f"- `{key}`: rooms of split `{part['rooms']}` ({part['bank']}), {part['versions']} scenes a clip")
    lines.append("\nRooms of different splits come from different random streams, and no source file is in two splits.")
    lines.append("\n## Licences\n\nClips by licence:\n")
    for key, part in parts.items():
        lines.append(f"- `{key}`: " + ", ".join(f"{count} {what}" for what, count in sorted(part["licences"].items())))
    lines.append("\n## Known flaws\n")
    for key, part in parts.items():
        lines.append(f"- Spatial captions of `{key}`: {part['spatial_captions']}.")
    lines.append(
        """- Rooms are shoeboxes, one sound stands still in each.
- Clips keep the rooms and noises they were recorded with.
- Every scene is scaled to one peak: loudness does not tell distance.

## Source

Clips and captions are those of the data set that was given; rooms and labels are computed.
"""
    )
    return "\n".join(lines)
