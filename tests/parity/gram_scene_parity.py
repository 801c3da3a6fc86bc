"""GRAM's naturalistic scenes: level, fades, convolution, and the mixture by both rules of the noise's gain."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from spatial_audio_lm.simulation.naturalistic_mixing import convolve, level_normalised, mix, noise_in_scene
from tests.parity.parity_case import ParityCase


def check_gram_scene(case: ParityCase) -> None:
    """A short noise from three places beside a clip of two seconds in a scene of ten."""
    settings = case.manifest["config"]
    rate, level_dbfs = settings["sample_rate"], settings["rms_dbfs"]
    length, fade = round(settings["clip_seconds"] * rate), round(settings["fade_s"] * rate)
    clip, dry_noise = (case.inputs[name].float() / 32768 for name in ("source_int16", "noise_int16"))
    target_rir, noise_rirs = case.inputs["source_rir_f16"].float(), case.inputs["noise_rirs_f16"].float()
    begin, end = int(case.inputs["noise_start"]), int(case.inputs["noise_start"]) + len(dry_noise)

    clip = level_normalised(clip, level_dbfs)
    level = 20 * clip.square().mean().sqrt().log10()
    clip = pad(clip, (0, length - len(clip)))
    noise = noise_in_scene(level_normalised(dry_noise, level_dbfs), length, begin, 0, fade)
    blend = partial(
        mix, clip[None], target_rir[None], noise[None], noise_rirs.sum(0)[None], case.inputs["snr_db"], [(begin, end)]
    )
    now, before = blend(), blend("each_channel")

    def slices(waveform: Tensor) -> Tensor:
        starts = (0, begin, begin + 60_000, length - 1000)
        return torch.cat([waveform[:, start : start + 1000] for start in starts], dim=1)

    answers = {
        "source_preprocessed_first_2000": clip[:2000],
        "source_preprocessed_length": torch.tensor([len(clip)]),
        "source_rms_dbfs_before_padding": level[None],
        "noise_faded_first_6500": noise[begin : begin + 6500],
        "noise_faded_last_6500": noise[end - 6500 : end],
        "source_only_slices": slices(convolve(clip, target_rir)),
        "convolved_source_slices": slices(now.target[0]),
        "aggregated_noise_slices": slices(now.noise[0]),
        "noise_gain": now.gain.flatten(),
        "mixture_slices": slices(now.scene[0]),
        "mixture_energy_per_channel": now.scene[0].square().sum(-1),
        "noise_gain_per_channel_before_snr_fix": before.gain.flatten(),
        "mixture_slices_before_snr_fix": slices(before.scene[0]),
    }
    assert set(answers) == set(case.outputs)
    case.check(answers, dict.fromkeys(answers, case.manifest["tolerance"]))
