"""What the config.json of a published WavJEPA may say: what is computed here, or nothing that matters."""

import math
import re
from collections.abc import Mapping
from typing import Any

from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.models.wavjepa.configuration_wavjepa import WavJEPAConfig

_DEFAULT = WavJEPAConfig()
_SECONDS = 2.01  # of a window, as the published code writes them; rounded down to samples

# Settings that no tensor shows, and the only values that are known here. Other names for the same are those of the
# published code's modules, of its feature extractor and of transformers.
_EXPECTED: dict[str, tuple[Any, ...]] = {
    "extractor_mode": ("default",),
    "extractor_conv_bias": (False,),
    "extractor_depthwise": (False,),
    **dict.fromkeys(("sample_rate", "sampling_rate", "resample_sr", "sr"), (_DEFAULT.sampling_rate,)),
    **dict.fromkeys(("process_audio_seconds", "process_seconds"), (_SECONDS,)),
    **{f"{part}_norm_first": (False,) for part in ("encoder", "decoder")},
    **{f"{part}_bias": (True,) for part in ("encoder", "decoder")},
    **{f"{part}_layer_norm_eps": (_DEFAULT.layer_norm_eps,) for part in ("encoder", "decoder")},
    **{f"{part}activation": ("gelu", "GELU", "GELU()") for part in ("", "encoder_", "decoder_", "extractor_")},
}
_CHANNELS = ("in_channels", "num_channels", "feature_size")
_READ = ("extractor_layers_spec", "encoder_nhead", "decoder_nhead", "average_top_k_layers")
_SIZE = re.compile(r"^(encoder|decoder)_(num_layers|d_model|dim_feedforward|mlp_ratio)$")


def require_known_settings(
    settings: Mapping[str, Any], channels: int, encoder: tuple[int, int, int], decoder: tuple[int, int, int]
) -> None:
    """Refuses settings that contradict the tensors or what is computed here.

    Args:
        settings: of the published config.json.
        channels: 1 or 2, as the tensors show.
        encoder, decoder: layers, width and width of the MLPs, as the tensors show.

    Raises:
        CheckpointError: which setting, and what is known.
    """
    for name, known in (_EXPECTED | dict.fromkeys(_CHANNELS, (channels,))).items():
        if name in settings and not any(_same(settings[name], value) for value in known):
            raise CheckpointError(f"{name} is {settings[name]!r} in config.json; only {known[0]!r} is known here")
    for part, (layers, width, mlp) in {"encoder": encoder, "decoder": decoder}.items():
        sizes = {"num_layers": layers, "d_model": width, "dim_feedforward": mlp, "mlp_ratio": mlp / width}
        for name, value in sizes.items():
            given = settings.get(f"{part}_{name}", value)
            if not _same(given, value):
                raise CheckpointError(f"{part}_{name} is {given!r} in config.json, and {value:g} in the weights")


def whole_number(
    settings: Mapping[str, Any], name: str, default: int, divides: int | None = None, most: int | None = None
) -> int:
    """A setting that has to be a whole number above 0.

    Args:
        settings: of the published config.json.
        name: of the setting.
        default: if it is not there.
        divides: what it has to divide.
        most: the largest that makes sense.

    Raises:
        CheckpointError: anything else.
    """
    value = settings.get(name, default)
    fits = type(value) is int and value >= 1
    if not fits or (divides is not None and divides % value) or (most is not None and value > most):
        expected = f"a divisor of {divides}" if divides is not None else "a whole number above 0"
        limit = f", {most} at most" if most is not None else ""
        raise CheckpointError(f"{name} is {value!r} in config.json; expected {expected}{limit}")
    return int(value)


def left_aside(settings: Mapping[str, Any]) -> list[str]:
    """Names of the settings that nothing here is read off or compared with, sorted."""
    return sorted(
        name
        for name in settings
        if name not in _EXPECTED and name not in (*_CHANNELS, *_READ) and not _SIZE.match(name)
    )


def _same(given: Any, value: Any) -> bool:
    if isinstance(given, bool) or isinstance(value, bool) or not isinstance(given, int | float):
        return type(given) is type(value) and bool(given == value)
    return isinstance(value, int | float) and math.isclose(given, value)
