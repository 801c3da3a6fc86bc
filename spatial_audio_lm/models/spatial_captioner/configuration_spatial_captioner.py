"""Configuration of the captioner."""

from typing import Any

from transformers import AutoConfig, PretrainedConfig

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.layers.model_config import ModelConfig
from spatial_audio_lm.layers.sub_configs import sub_config
from spatial_audio_lm.models.spatial_captioner.audio_embedding_spatial_captioner import embedding_dim

MAPPERS = ("linear", "mlp")
CAPTION_TOKENS = 96  # of the longest caption that is written, unless told otherwise


class SpatialCaptionerConfig(ModelConfig):
    """The captioner, by default as published: ELSA's embedding of 512 numbers, one prefix position, GPT-2.

    Args:
        audio_config: of any encoder of the house (its weights are never trained here).
        text_config: of any causal language model of transformers.
        prefix_length: positions before the caption that the recording becomes; ClipCap has 10.
        mapper: from the embedding to the prefix: "linear", one layer without bias (ELSA), or "mlp", two with a tanh
            between (ClipCap), half as wide as the prefix is long.
        freeze_language_model: train the mapper alone; published: both are trained.

    Raises:
        ConfigError: values that do not fit each other.
    """

    model_type = "spatial_captioner"
    sub_configs = {"audio_config": AutoConfig, "text_config": AutoConfig}  # noqa: RUF012

    def __init__(
        self,
        audio_config: PretrainedConfig | dict[str, Any] | None = None,
        text_config: PretrainedConfig | dict[str, Any] | None = None,
        prefix_length: int = 1,
        mapper: str = "linear",
        freeze_language_model: bool = False,
        **kwargs: Any,
    ):
        self.audio_config = sub_config(audio_config, "elsa", "audio_config")
        self.text_config = sub_config(text_config, "gpt2", "text_config")
        if prefix_length < 1 or mapper not in MAPPERS:
            raise ConfigError(
                f"prefix_length is {prefix_length}, mapper {mapper!r}; expected 1 or more, and one of "
                + ", ".join(MAPPERS)
            )
        if self.text_config.eos_token_id is None:
            raise ConfigError("text_config has no eos_token_id: a caption would have no end")
        embedding_dim(self.audio_config)  # refuses what is no encoder
        self.prefix_length = prefix_length
        self.mapper = mapper
        self.freeze_language_model = freeze_language_model
        if (spare := self.positions_for_captions) is not None and spare < 1:
            raise ConfigError(
                f"prefix_length is {prefix_length}, and the language model has {spare + prefix_length} positions: "
                "there is none for a caption"
            )
        kwargs.setdefault("tie_word_embeddings", False)  # the language model ties its own
        super().__init__(**kwargs)

    @property
    def embedding_dim(self) -> int:
        """Width of the encoder's vectors."""
        return embedding_dim(self.audio_config)

    @property
    def positions_for_captions(self) -> int | None:
        """Tokens that the language model has positions for behind the prefix; None: any number."""
        positions = getattr(self.text_config, "max_position_embeddings", None)
        return None if positions is None else int(positions) - self.prefix_length

    @property
    def caption_tokens(self) -> int:
        """Tokens of the longest caption that is written, unless told otherwise."""
        return min(CAPTION_TOKENS, self.positions_for_captions or CAPTION_TOKENS)
