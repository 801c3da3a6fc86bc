"""What bfloat16 changes in the answers of an encoder with two ears, on simulated clips."""

from typing import Any

import torch
from markdown_table import table
from torch import Tensor

from spatial_audio_lm.layers.event_localization import EventLocalizationOutput
from spatial_audio_lm.layers.event_localization_config import LOCALIZATION_HEADS
from spatial_audio_lm.simulation.sounds import SOUND_KINDS, synthesize

HEAD_RADIUS_M, SPEED_OF_SOUND = 0.0875, 343.0


def clips(number: int, sample_rate: int, duration_s: float = 10.0) -> Tensor:
    """Procedural sounds from all around a rigid head without reflections, and a little noise at each ear.

    Returns:
        `(number, 2, time)`, the same at every call.
    """
    generator = torch.Generator().manual_seed(0)
    result = []
    for index in range(number):
        sound = synthesize(SOUND_KINDS[index % len(SOUND_KINDS)], index, sample_rate, duration_s)
        to_the_left = 2.0 * float(torch.rand((), generator=generator)) - 1.0  # sine of the azimuth
        delay = HEAD_RADIUS_M / SPEED_OF_SOUND * (to_the_left + torch.asin(torch.tensor(to_the_left)).item()) / 2
        spectrum = torch.fft.rfft(sound)
        turns = torch.arange(len(spectrum)) * (2j * torch.pi / (len(sound) / sample_rate))
        ears = [spectrum * torch.exp(side * delay * turns) * 2.0 ** (side * to_the_left) for side in (1, -1)]
        noise = 1e-3 * torch.randn(2, len(sound), generator=generator)
        result.append(torch.fft.irfft(torch.stack(ears), n=len(sound)) + noise)
    return torch.stack(result)


def in_bfloat16(model: Any) -> Any:
    """The model as `from_pretrained(folder, dtype=torch.bfloat16)` gives it."""
    weights = model.state_dict()
    return type(model).from_pretrained(None, config=model.config, state_dict=weights, dtype=torch.bfloat16).eval()


def outputs_of(model: Any, features: Tensor) -> EventLocalizationOutput:
    """Logits of all clips, a few at a time."""
    parts = [model(part) for part in features.split(4)]
    names = [f"{head}_logits" for head in LOCALIZATION_HEADS]
    return EventLocalizationOutput(**{name: torch.cat([part[name] for part in parts]).float() for name in names})


def answers_of(model: Any, outputs: EventLocalizationOutput) -> dict[str, Tensor]:
    """Distance and direction of every clip."""
    bins = model.config.bins
    return {
        "distance_m": bins.distance_m(outputs.distance_logits.argmax(-1)),
        "azimuth_deg": bins.azimuth_deg(outputs.azimuth_logits.argmax(-1)),
        "elevation_deg": bins.elevation_deg(outputs.elevation_logits.argmax(-1)),
    }


def change(title: str, model: Any, features: Tensor, trained: bool) -> str:
    """What each way of computing in bfloat16 changes, as a table; in answers too where the model is trained."""

    def autocast(part: Tensor) -> EventLocalizationOutput:
        with torch.autocast("cpu", torch.bfloat16):
            return model(part)

    before = outputs_of(model, features)
    rows = []
    for name, other in (("bfloat16", in_bfloat16(model)), ("bfloat16 autocast", autocast)):
        after = outputs_of(other, features)
        logits = [
            float((after[f"{h}_logits"] - before[f"{h}_logits"]).std() / before[f"{h}_logits"].std())
            for h in LOCALIZATION_HEADS
        ]
        row = [name, " / ".join(f"{100 * value:.2f}" for value in logits)]
        if trained:
            moved = (after.event_logits.sigmoid() - before.event_logits.sigmoid()).abs()
            other_top = (after.event_logits.argmax(-1) != before.event_logits.argmax(-1)).float().mean()
            row += [f"{float(moved.max()):.4f} / {float(moved.mean()):.5f}", f"{100 * float(other_top):.1f}"]
            first, second = answers_of(model, before), answers_of(model, after)
            for key, value in first.items():
                step = second[key] - value
                if key == "azimuth_deg":
                    step = (step + 180.0) % 360.0 - 180.0
                row.append(f"{float(step.abs().mean()):.2f}")
        rows.append(row)
    header = [
        f"{title}, {len(features)} clips: change by",
        "% of the logits' spread: " + " / ".join(LOCALIZATION_HEADS),
    ]
    if trained:
        header += ["event probability: largest / mean", "% with another top event"]
        header += ["distance m", "azimuth °", "elevation °"]
    return table(header, rows)
