"""Configuration of DSpAST."""

from typing import Any

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.layers.event_localization_config import EventLocalizationConfig
from spatial_audio_lm.layers.model_config import require_whole_numbers

BRANCHES = ("distance", "direction", "event")
FEATURES = ("log_mel", "gcc_phat", "level_ratio", "phase_difference")
# Stages 2 and 3 of the published scripts; stage 1 has the event loss alone, with weight 1.
LOSS_WEIGHTS = {"event": 100.0, "distance": 2.0, "azimuth": 1.0, "elevation": 1.0}


class DSpASTConfig(EventLocalizationConfig):
    """DSpAST, by default at its published size: 86,085,127 trainable parameters.

    Args:
        features: names of the feature maps (see features/interaural.py). "level_difference_db" in place of the
            published "level_ratio" is the better choice for a training of one's own: the ratio is a constant in almost
            every bin and huge in a few.
        adacos: classify distance and angles by cosines with AdaCos's scale, as published; False: by linear heads, whose
            answers may be as uncertain as distances are.
        branch_dim: width of a branch's tokens; the three together are the output (published: 3 x 256).
        place_per_sound: the pooled readout looks for each sound by itself; for `DSpASTForSELD`.
        num_told_sounds: of at most so many of them, the most probable ones, that model tells a language model.
        loss_weights: those that differ from the published ones.
        kwargs: all other settings of `EventLocalizationConfig`.
    """

    model_type = "dspast"

    def __init__(
        self,
        features: list[str] | tuple[str, ...] = FEATURES,
        branch_dim: int | None = None,
        adacos: bool = True,
        place_per_sound: bool = False,
        num_told_sounds: int = 4,
        loss_weights: dict[str, float] | None = None,
        **kwargs: Any,
    ):
        super().__init__(features=features, loss_weights=LOSS_WEIGHTS | (loss_weights or {}), **kwargs)
        self.adacos = adacos
        self.place_per_sound = place_per_sound
        self.num_told_sounds = num_told_sounds
        self.branch_dim = self.hidden_size // len(BRANCHES) if branch_dim is None else branch_dim
        require_whole_numbers(self, ("num_told_sounds", "branch_dim"))
        if place_per_sound and self.readout != "pooled":
            raise ConfigError(f"place_per_sound looks at patches: readout is {self.readout!r}, expected 'pooled'")
        if self.num_cls_tokens < 1:
            raise ConfigError(f"num_cls_tokens is {self.num_cls_tokens}; the heads read the mean of at least one")
