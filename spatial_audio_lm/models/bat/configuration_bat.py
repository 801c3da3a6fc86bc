"""Configuration of BAT."""

from copy import deepcopy
from typing import Any

from transformers import AutoConfig, Blip2QFormerConfig, PretrainedConfig

from spatial_audio_lm.errors import ConfigError, SpatialAudioError
from spatial_audio_lm.layers.model_config import ModelConfig
from spatial_audio_lm.models.bat.audio_tokens_bat import encoder_class, token_dim
from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig

PUBLISHED_QFORMER = {"num_hidden_layers": 8}  # all else as transformers has it


class BatConfig(ModelConfig):
    """BAT, by default as published: SpatialAST, a Q-Former of 8 layers with 64 queries, Llama-2-7B with LoRA.

    Args:
        audio_config: of any encoder of the house (its weights are never trained here).
        qformer_config: of transformers' `Blip2QFormerModel`; the width of what it hears follows from the encoder.
        text_config: of any causal language model of transformers.
        num_query_tokens: embeddings that a recording becomes.
        hears: `tokens`, as published; `readout`, what the encoder's trained heads read of a recording, where it has any
            (SpatialAST, DSpAST), joined to one token; or `readout_and_tokens`, which stand one behind the other.
        norm_audio_tokens: bring the encoder's tokens to the same size before the Q-Former, by a layer norm without
            weights; published: as they are.
        projector_norm_eps: of the layer norm behind the projection.
        audio_token_id: token that stands where an embedding of the recording goes; None: the first one behind the
            language model's vocabulary, which then needs no row for it (Llama-2 has none to spare).
        lora_rank, lora_alpha, lora_dropout, lora_target_modules: of the adapter; rank 0: no adapter.
        language_model_name_or_path, language_model_revision: where the language model's own weights come from, if they
            are not part of the checkpoint: those are frozen, and saving writes what hears, the adapter, and this name.
            None: the language model is part of the checkpoint, and trained with it unless it has an adapter.

    Raises:
        ConfigError: values that do not fit each other.
    """

    model_type = "bat"
    sub_configs = {"audio_config": AutoConfig, "qformer_config": Blip2QFormerConfig, "text_config": AutoConfig}  # noqa: RUF012

    def __init__(
        self,
        audio_config: PretrainedConfig | dict[str, Any] | None = None,
        qformer_config: Blip2QFormerConfig | dict[str, Any] | None = None,
        text_config: PretrainedConfig | dict[str, Any] | None = None,
        num_query_tokens: int = 64,
        hears: str = "tokens",
        norm_audio_tokens: bool = False,
        projector_norm_eps: float = 1e-5,
        audio_token_id: int | None = None,
        lora_rank: int = 8,
        lora_alpha: float = 32,
        lora_dropout: float = 0.05,
        lora_target_modules: list[str] | tuple[str, ...] = ("q_proj", "v_proj"),
        language_model_name_or_path: str | None = None,
        language_model_revision: str | None = None,
        **kwargs: Any,
    ):
        self.audio_config = _sub_config(audio_config, SpatialASTConfig.model_type, "audio_config")
        self.text_config = _sub_config(text_config, "llama", "text_config")
        self.num_query_tokens = num_query_tokens
        self.hears = hears
        self.norm_audio_tokens = norm_audio_tokens
        self.projector_norm_eps = projector_norm_eps
        self.audio_token_id = self.text_config.vocab_size if audio_token_id is None else audio_token_id
        self.lora_rank = lora_rank
        self.lora_alpha = lora_alpha
        self.lora_dropout = lora_dropout
        self.lora_target_modules = list(lora_target_modules)
        self.language_model_name_or_path = language_model_name_or_path
        self.language_model_revision = language_model_revision
        if num_query_tokens < 1 or lora_rank < 0 or not 0 <= lora_dropout < 1:
            raise ConfigError(
                f"num_query_tokens is {num_query_tokens}, lora_rank {lora_rank}, lora_dropout {lora_dropout}; expected "
                "1 or more, 0 or more, a share in [0, 1)"
            )
        encoder_class(self.audio_config, hears)  # refuses a readout of one without heads
        self.qformer_config = _qformer_config(qformer_config, token_dim(self.audio_config, hears))
        kwargs.setdefault("tie_word_embeddings", False)  # the language model ties its own
        super().__init__(**kwargs)

    @property
    def has_own_language_model(self) -> bool:
        """Whether the language model's weights are part of the checkpoint."""
        return self.language_model_name_or_path is None


def _sub_config(config: PretrainedConfig | dict[str, Any] | None, default_type: str, name: str) -> Any:
    if isinstance(config, PretrainedConfig):
        return deepcopy(config)  # it may be a living model's, and what holds it here writes into it
    settings = dict(config or {})
    model_type = settings.pop("model_type", default_type)
    if model_type == SpatialASTConfig.model_type:  # also before the models are entered into AutoConfig
        return SpatialASTConfig(**settings)
    try:
        return AutoConfig.for_model(model_type, **settings)
    except SpatialAudioError:
        raise
    except ValueError as error:
        raise ConfigError(f"{name} is of type {model_type!r}, which transformers does not know") from error


def _qformer_config(given: Blip2QFormerConfig | dict[str, Any] | None, heard: int) -> Any:
    """The Q-Former's configuration for tokens of `heard` numbers."""
    config: Any = given
    if given is None or isinstance(given, dict):
        settings = {"encoder_hidden_size": heard} | (PUBLISHED_QFORMER if given is None else given)
        settings.pop("model_type", None)
        config = Blip2QFormerConfig(**settings)
    if config.encoder_hidden_size != heard:
        raise ConfigError(
            f"encoder_hidden_size of the Q-Former is {config.encoder_hidden_size}; this encoder's tokens have {heard} "
            "numbers: leave it out"
        )
    if config.use_qformer_text_input:
        raise ConfigError("use_qformer_text_input is True; BAT's Q-Former hears the recording alone: leave it out")
    return config
