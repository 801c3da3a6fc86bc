"""GRAM (Yuksel, van Gerven, van der Heijden 2025): a masked autoencoder for sound in real rooms. The encoder.

    feature maps ─► chunks of 2 s ─► one mean and variance for all maps of a chunk ─► patches ─► + positions
                                       [class token | patches, band by band] ─► 12 blocks ─► norm ─► embeddings

The decoder, which only pre-training needs, is in modeling_gram_decoder.py. Where paper and published code differ the
code was followed; both ways of treating the end of a clip are in chunking_gram.py.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.utils import ModelOutput

from spatial_audio_lm.errors import AudioValueError
from spatial_audio_lm.layers.positions import PositionTable
from spatial_audio_lm.layers.transformer import run_blocks, transformer_blocks
from spatial_audio_lm.layers.whole_weights import WholeWeights
from spatial_audio_lm.models.gram.chunking_gram import ChunkPlan, plan_chunks
from spatial_audio_lm.models.gram.configuration_gram import GramConfig

_CHUNKS_AT_ONCE = 256  # more than eight minutes: memory does not grow with what is beyond


@dataclass
class GramOutput(ModelOutput):
    """What GRAM hears in a batch of clips; embeddings are float32.

    Args:
        last_hidden_state: `(batch, chunks, 1 + patches, hidden_size)`, after the last norm: the class token, then
            patch `f * time + t`. Zero where nothing was heard.
        frame_embeddings: `(batch, rows, bands * hidden_size)`: all patches of a moment, low bands first (6144 numbers
            every 80 ms; 768 every 20 ms in the "time" variants).
        frame_mask: `(batch, rows)`, bool: rows of the clip.
        timestamps_s: `(batch, rows)`, where in the clip a row begins.
        scene_mean: `(batch, hidden_size)`, mean over all patches.
        scene_cls: `(batch, hidden_size)`, mean of the chunks' class tokens, each by the length that it heard.
        scene_raw: `(batch, bands * hidden_size)`, mean over the rows.
        hidden_states: like `last_hidden_state`, before and after every block, without the last norm.
    """

    last_hidden_state: Tensor
    frame_embeddings: Tensor | None = None
    frame_mask: Tensor | None = None
    timestamps_s: Tensor | None = None
    scene_mean: Tensor | None = None
    scene_cls: Tensor | None = None
    scene_raw: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None


class GramPreTrainedModel(WholeWeights):
    """Configuration, initial weights and abilities of GRAM."""

    config_class = GramConfig
    base_model_prefix = "gram"
    main_input_name = "input_features"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["TransformerBlock", "LocalGlobalBlock"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, GramModel):
            init.normal_(module.cls_token, std=self.config.cls_init_std)
        elif callable(reset := getattr(module, "reset", None)):
            reset()


class GramModel(GramPreTrainedModel):
    """The encoder: feature maps of any length to embeddings of moments and of the whole clip."""

    _keys_to_ignore_on_load_unexpected = [r"^decoder\."]  # noqa: RUF012  (of a pre-trained model, and not needed)

    def __init__(self, config: GramConfig):
        super().__init__(config)
        self.patch_embedding = nn.Linear(config.patch_values, config.hidden_size)
        # The first half of a position's numbers counts time, the second frequency, and patches are numbered band by
        # band: to the shared table, which has it the other way round, time is frequency and frequency time.
        self.positions = PositionTable(*config.grid, config.hidden_size)
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.hidden_size).normal_(std=config.cls_init_std))
        self.blocks = transformer_blocks(
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
            config.intermediate_size,
            config.layer_norm_eps,
        )
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.patch_embedding

    def normalized(self, chunks: Tensor, counted: Tensor | None = None) -> Tensor:
        """Chunks with mean 0 and variance 1 over all maps together, float32.

        Args:
            chunks: `(chunks, maps, num_frames, mels)`.
            counted: bool `(chunks, num_frames)`: the frames that mean and variance are taken of; the others become 0.
        """
        chunks = chunks.float()
        if counted is None:
            return F.layer_norm(chunks, chunks.shape[1:], eps=self.config.spectrogram_eps)
        weights = counted[:, None, :, None].float()
        number = weights.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1.0) * (chunks.shape[1] * chunks.shape[3])
        centred = (chunks - (chunks * weights).sum(dim=(1, 2, 3), keepdim=True) / number) * weights
        variance = centred.square().sum(dim=(1, 2, 3), keepdim=True) / number
        return centred * (variance + self.config.spectrogram_eps).rsqrt()

    def patches(self, chunks: Tensor) -> Tensor:
        """Normalised chunks `(chunks, maps, num_frames, mels)` as `(chunks, patches, patch_values)`.

        Patch `f * time + t` has its numbers in the order maps, bands, frames.
        """
        bands, frames = self.config.grid
        cut = chunks.unflatten(3, (bands, -1)).unflatten(2, (frames, -1))  # (chunks, maps, t, frame, f, band)
        return cut.permute(0, 4, 2, 1, 5, 3).flatten(3).flatten(1, 2)

    def embedded(self, patches: Tensor) -> Tensor:
        """Patches `(chunks, patches, patch_values)` as tokens with their positions, without a class token."""
        return self.positions(self.patch_embedding(patches.to(self.patch_embedding.weight.dtype)))

    def encoded(self, tokens: Tensor, keep_all: bool = False) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """Any patches' tokens `(chunks, tokens, hidden_size)` behind a class token, through all blocks and the norm.

        Returns:
            `(chunks, 1 + tokens, hidden_size)`, and with `keep_all` also the tokens before and after every block.
        """
        cls_token = self.cls_token.to(tokens.dtype).expand(len(tokens), -1, -1)
        eager = self.config._attn_implementation == "eager"
        tokens, states = run_blocks(self.blocks, torch.cat([cls_token, tokens], dim=1), eager, keep_all)
        return self.norm(tokens), states

    def require_features(self, input_features: Tensor) -> None:
        """Refuses features of another shape than `(batch, maps, frames, mels)`.

        Raises:
            AudioValueError: the shape does not fit the configuration, or there is no clip.
        """
        maps, mels = self.config.num_feature_maps, self.config.num_mel_bins
        shape = tuple(input_features.shape)
        if len(shape) != 4 or not shape[0] or (shape[1], shape[3]) != (maps, mels):
            raise AudioValueError(
                f"input_features has shape {shape}; expected (batch, {maps}, frames, {mels}) for a GRAM that hears "
                f"{self.config.audio_format}: use GramFeatureExtractor.for_model(model.config)"
            )

    def forward(
        self,
        input_features: Tensor,
        attention_mask: Tensor | None = None,
        published_padding: bool = False,
        output_hidden_states: bool = False,
    ) -> GramOutput:
        """Embeddings of a batch of clips; all chunks of all clips go through the encoder together.

        Args:
            input_features: of `GramFeatureExtractor`, `(batch, maps, frames, mels)`.
            attention_mask: `(batch, frames)`: 1 up to the end of each clip, then 0. None: all frames count.
            published_padding: treat the end of a clip as the published code does: the last chunk is filled with zeros
                that count in `scene_mean`, `scene_cls` and (one row of them) in `scene_raw`, and timestamps are
                stretched over the clip.
            output_hidden_states: also give the tokens before and after every block.

        Raises:
            AudioValueError: features of another shape, a mask that is none, or a clip shorter than one patch.
        """
        self.require_features(input_features)
        plan = plan_chunks(self.config, clip_frames(input_features, attention_mask), published_padding)
        chunks, size = plan.heard.shape[1], self.config.num_frames
        maps = F.pad(input_features.float(), (0, 0, 0, chunks * size - input_features.shape[2]))
        behind = torch.arange(chunks * size, device=maps.device) >= plan.frames[:, None]
        maps = maps.masked_fill(behind[:, None, :, None], 0.0).unflatten(2, (chunks, size)).transpose(1, 2)
        normalized = self.normalized(maps.flatten(0, 1), plan.counted.view(-1, size))
        states = self._encoded_rows(self.embedded(self.patches(normalized)), plan.heard.flatten(), output_hidden_states)
        last, *before = (state.unflatten(0, (-1, chunks)) for state in states)
        return self._embeddings(last, plan, tuple(before) if output_hidden_states else None)

    def _encoded_rows(self, tokens: Tensor, heard: Tensor, keep_all: bool) -> list[Tensor]:
        """Chunks of which only the first rows are heard: those with equally many go through the encoder together.

        Args:
            tokens: `(chunks, patches, hidden_size)`.
            heard: `(chunks,)`, rows.
            keep_all: also give the tokens before and after every block.

        Returns:
            Tensors `(chunks, 1 + patches, hidden_size)`, zero where nothing was heard: the last, then all others.
        """
        bands, rows = self.config.grid
        results: list[Tensor] = []
        for count in heard[heard > 0].unique().tolist():
            for members in (heard == count).nonzero().flatten().split(_CHUNKS_AT_ONCE):
                part = tokens[members].unflatten(1, (bands, rows))[:, :, :count].flatten(1, 2)
                last, states = self.encoded(part, keep_all)
                for index, state in enumerate((last, *(states or ()))):
                    patches = F.pad(state[:, 1:].unflatten(1, (bands, count)), (0, 0, 0, rows - count))
                    whole = torch.cat([state[:, :1], patches.flatten(1, 2)], dim=1)
                    if index == len(results):
                        results.append(whole.new_zeros(len(heard), *whole.shape[1:]))
                    results[index] = results[index].index_copy(0, members, whole)
        return results

    def _embeddings(self, tokens: Tensor, plan: ChunkPlan, hidden_states: tuple[Tensor, ...] | None) -> GramOutput:
        """Embeddings of moments and clips from all tokens `(batch, chunks, 1 + patches, hidden_size)`."""
        bands, rows = self.config.grid
        patches = tokens[:, :, 1:].float().unflatten(2, (bands, rows)).transpose(2, 3)
        shares = plan.heard / plan.heard.sum(1, keepdim=True)  # of each chunk in its clip
        longest = int(plan.rows.max())
        frames = patches.flatten(3).flatten(1, 2)[:, :longest]
        place = torch.arange(longest, device=tokens.device)
        frame_mask = place < plan.rows[:, None]
        frames = frames * frame_mask[:, :, None]
        return GramOutput(
            last_hidden_state=tokens,
            frame_embeddings=frames,
            frame_mask=frame_mask,
            timestamps_s=place * plan.row_s[:, None],
            scene_mean=patches.sum(dim=(1, 2, 3)) / (plan.heard.sum(1, keepdim=True) * bands),
            scene_cls=(tokens[:, :, 0].float() * shares[:, :, None]).sum(1),
            scene_raw=frames.sum(1) / plan.rows[:, None],
            hidden_states=hidden_states,
        )


def clip_frames(input_features: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Frames of each clip, `(batch,)`.

    Raises:
        AudioValueError: a mask of another shape, or one that has not all its ones first.
    """
    batch, _, frames, _ = input_features.shape
    if attention_mask is None:
        return torch.full((batch,), frames, device=input_features.device)
    mask = attention_mask.bool()
    if mask.shape != (batch, frames) or (mask[:, 1:] & ~mask[:, :-1]).any() or not mask[:, :1].all():
        raise AudioValueError(
            f"attention_mask has shape {tuple(mask.shape)} for {batch} clips of {frames} frames; expected "
            "(batch, frames) with 1 from the first frame to the end of each clip, then 0"
        )
    return mask.sum(1)
