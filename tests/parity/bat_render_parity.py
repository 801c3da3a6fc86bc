"""SpatialSoundQA's rendering: one and two sources, resampling, a clip that is cut, silence, and no response."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
import torch
from torch import Tensor

from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.question_answering.rendering import SpatialSoundRenderer
from tests.parity.parity_case import ParityCase

LONG_TILES = 21  # how often the long clip's unit is repeated: the case's notes say it
SILENT_SAMPLES = 3200


def check_bat_render(case: ParityCase) -> None:
    """The case's clips and responses as files of a copy, rendered record by record."""
    rate = case.manifest["config"]["sampling_rate"]
    clips = {
        "a1": (case.inputs["a1"], 44_100),
        "a2": (case.inputs["a2"], rate),
        "long": (case.inputs["long_unit"].tile(LONG_TILES, 1), rate),
        "silent": (torch.zeros(SILENT_SAMPLES, 1), rate),
    }
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name, (samples, clip_rate) in clips.items():
            soundfile.write(root / f"{name}.wav", samples.numpy(), clip_rate, subtype="FLOAT")
        for name in ("rir1", "rir2"):
            np.save(root / f"{name}.npy", case.inputs[name].numpy())
        render = SpatialSoundRenderer(root, root, duration_s=case.manifest["config"]["seconds"])

        def sound(first: str, response: str | None, second: str | None = None, other: str | None = None) -> Tensor:
            return render(SpatialQuestion(first, "DOA", "Where?", "left", response, second, other)).waveform

        one, two = sound("a1", "rir1.npy"), sound("a1", "rir1.npy", "a2", "rir2.npy")
        long, silent, dry = sound("long", "rir2.npy"), sound("silent", "rir1.npy"), sound("a1", None)
    answers = {
        "one_source_first24000": one[:, :24_000],
        "two_sources_first24000": two[:, :24_000],
        "long_first8000": long[:, :8000],
        "long_last8000": long[:, -8000:],
        "no_reverb_first17000": dry[:, :17_000],
        "energies": torch.stack([each.double().square().sum() for each in (one, two, long, silent, dry)]),
    }
    case.check(answers, dict.fromkeys(answers, case.manifest["tolerance"]))
    assert set(answers) | {"shapes"} == set(case.outputs)
    shapes = [list(each.shape) for each in (one, two, long, silent)]
    assert shapes == case.outputs["shapes"][:4].tolist()
    assert dry.shape == (1, case.outputs["shapes"][4, 1])
