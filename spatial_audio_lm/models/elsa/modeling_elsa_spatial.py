"""The spatial branch of ELSA: where a sound is, from intensity vectors.

Two architectures (`ElsaSpatialConfig.architecture`):

paper     active (3, 257, 1601) ─► 6 x [add coordinates, conv 3x3 to 12, ELU, max-pool 2] ─► 1200 ┐
          reactive, own weights ─► the same                                             ─► 1200 ┴─► 2400 ─► 192 ─► 44
          The paper gives the shapes (two branches, 1200 each, 192, 44 outputs), the coordinate layers and the sum,
          485,828 parameters; this stack of uniform layers is the one that meets all of them. There is no code or
          weight of the authors to compare with. Order of ELU and pool and the place of the dropout are our reading.
compact   (channels, frames, bands) ─► conv 3x3 layers with average pools ─► per frame: channels x bands left
          ─► attention pools over time beside the plain mean ──────────────────────────────────┬─► 192
          weights over frames and bands ─► weighted means of the intensity vectors themselves ─┴─► direction
          Any length.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import ModelOutput

from spatial_audio_lm.errors import AudioValueError, ChannelError
from spatial_audio_lm.models.elsa.configuration_elsa import ElsaSpatialConfig
from spatial_audio_lm.models.elsa.modeling_elsa_conv import (
    MaskedConvStage,
    check_frames,
    init_convolutional,
    masked_time_mean,
    time_mask,
    valid_lengths,
)

# Outputs of the multi-task head (paper, appendix A.8): azimuth, elevation, distance, volume, and direct-to-reverberant
# ratio and T30 in the 20 third-octave bands from 100 Hz to 8 kHz.
REGRESSION_OUTPUTS = {"azimuth": 1, "elevation": 1, "distance": 1, "volume": 1, "drr": 20, "t30": 20}
NUM_REGRESSION_OUTPUTS = sum(REGRESSION_OUTPUTS.values())


class AddCoordinates(nn.Module):
    """Append the frequency and the time coordinate, each from -1 to 1, as two channels (CoordConv, Liu et al. 2018).

    Shape: `(batch, channels, bands, frames)` to `(batch, channels + 2, bands, frames)`.
    """

    def forward(self, x: Tensor) -> Tensor:
        batch, _, bands, frames = x.shape
        frequency = torch.linspace(-1, 1, bands, device=x.device, dtype=x.dtype).view(1, 1, bands, 1)
        time = torch.linspace(-1, 1, frames, device=x.device, dtype=x.dtype).view(1, 1, 1, frames)
        return torch.cat([x, frequency.expand(batch, 1, bands, frames), time.expand(batch, 1, bands, frames)], dim=1)


class PaperStage(GradientCheckpointingLayer):
    """Coordinates, 3x3 convolution, ELU, 2x2 maximum."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.coordinates = AddCoordinates()
        self.conv = nn.Conv2d(in_channels + 2, out_channels, 3, padding=1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(F.elu(self.conv(self.coordinates(x))))


class PaperBranch(nn.Sequential):
    """One of the two CNNs of the paper: `(batch, 3, bands, frames)` to `(batch, 1200)`."""

    def __init__(self, conv_channels: list[int]):
        pairs = zip([3, *conv_channels[:-1]], conv_channels, strict=True)
        super().__init__(*(PaperStage(before, after) for before, after in pairs), nn.Flatten())


class PaperSpatialEncoder(nn.Module):
    """Two branches, dropout, one linear layer with ELU; ten seconds exactly."""

    def __init__(self, config: ElsaSpatialConfig):
        super().__init__()
        self.num_frames, self.num_bands = config.num_frames, config.num_bands
        self.active_branch = PaperBranch(config.conv_channels)
        self.reactive_branch = PaperBranch(config.conv_channels)
        shrink = 2 ** len(config.conv_channels)
        flat = config.conv_channels[-1] * (config.num_bands // shrink) * ((config.num_frames or 0) // shrink)
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(2 * flat, config.hidden_size)

    def forward(self, features: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, None]:
        if attention_mask is not None or features.shape[2] != self.num_frames:
            raise AudioValueError(
                f"spatial_features has {features.shape[2]} frames{'' if attention_mask is None else ' and a mask'}; "
                f"this branch takes {self.num_frames} exactly: use ElsaFeatureExtractor, which crops and repeats"
            )
        active, reactive = features.transpose(2, 3).split(3, dim=1)
        joined = torch.cat([self.active_branch(active), self.reactive_branch(reactive)], dim=1)
        return F.elu(self.linear(self.dropout(joined))), None


class DirectionPools(nn.Module):
    """A direction as weighted means of intensity vectors: the network says when and in which bands to look.

    Few moments of a recording tell the direction well, the first of each sound above all, before its reflections
    arrive. Every pool spreads one softmax over frames and bands; its logits are the sum of a view of the branch's first
    map (onsets) and one of its last (what sounds there). What the means point to turns with the scene, so no azimuth
    has to be learned by itself (the card of elsa-tiny compares it with a head). Height is scaled apart, since floors
    and ceilings bend it.
    """

    def __init__(self, config: ElsaSpatialConfig):
        super().__init__()
        widths, pools = config.conv_channels, config.num_direction_pools
        self.vectors = config.direction_vectors
        self.zoom = 2 ** (len(widths) - 2)  # from the last map to the first
        self.num_means = pools * len(self.vectors)
        self.fine = nn.Conv2d(widths[0], pools, 1)
        self.coarse = nn.Conv2d(widths[-1], pools, 1, bias=False)  # nothing where a clip has ended
        self.horizontal = nn.Parameter(torch.empty(self.num_means))
        self.vertical = nn.Parameter(torch.empty(self.num_means))

    def init_weights(self) -> None:
        """Almost the plain mean at first, though no two pools alike: those would learn alike too."""
        for layer in (self.fine, self.coarse):
            nn.init.normal_(layer.weight, std=0.1)
        for weights in (self.horizontal, self.vertical):
            nn.init.constant_(weights, 1 / self.num_means)

    def forward(self, features: Tensor, first: Tensor, last: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Means and direction.

        Args:
            features: `(batch, channels, frames, bands)`.
            first: `(batch, widths[0], frames / 2, bands / 2)`.
            last: the last map, smaller by `zoom` again.
            lengths: valid frames of `first`.

        Returns:
            means `(batch, 3 * num_means)` and direction `(batch, 3)`, x front, y left, z up, of any length.
        """
        frames, bands = first.shape[2:]
        coarse = self.coarse(last).float().repeat_interleave(self.zoom, 2).repeat_interleave(self.zoom, 3)
        coarse = F.pad(coarse, (0, bands - coarse.shape[3], 0, frames - coarse.shape[2]))
        logits = self.fine(first).float() + coarse
        if lengths is not None:
            logits = logits.masked_fill(~time_mask(lengths, frames), float("-inf"))
        weights = logits.flatten(2).softmax(2)
        with torch.autocast(features.device.type, enabled=False):
            means = [
                weights @ F.avg_pool2d(features[:, at : at + 3].to(weights.dtype), 2).flatten(2).transpose(1, 2)
                for at in self.vectors
            ]
            stacked = torch.cat(means, dim=1)  # (batch, means, xyz)
            scale = torch.stack([self.horizontal, self.horizontal, self.vertical], dim=1)
            return stacked.flatten(1).to(features.dtype), (stacked * scale.float()).sum(1)


class CompactSpatialEncoder(nn.Module):
    """A small CNN that keeps frequency apart, then attention over time; and, beside it, where the vectors point.

    A direction is told best by the first moments of a sound, before its reflections arrive: the attention pools can
    choose such frames, which a mean over time cannot.
    """

    def __init__(self, config: ElsaSpatialConfig):
        super().__init__()
        widths = config.conv_channels
        # No dropout on the first map: the direction pools look by it, and it takes their precision.
        self.stages = nn.ModuleList(
            MaskedConvStage(before, [after], pool=index < len(widths) - 1, dropout=config.dropout if index else 0.0)
            for index, (before, after) in enumerate(zip([config.num_channels, *widths[:-1]], widths, strict=True))
        )
        frame_size = widths[-1] * (config.num_bands // 2 ** (len(widths) - 1))
        # No bias: the softmax over time would cancel it.
        self.attention = nn.Linear(frame_size, config.num_attention_pools, bias=False)
        self.direction_pools = DirectionPools(config) if config.num_direction_pools else None
        size = frame_size * (config.num_attention_pools + 1)
        if self.direction_pools is not None:
            size += 3 * self.direction_pools.num_means
        self.linear = nn.Linear(size, config.hidden_size)

    def forward(self, features: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        lengths = valid_lengths(attention_mask)
        check_frames(features, lengths, 2 ** (len(self.stages) - 1))
        x = features
        if lengths is not None:
            x = x * time_mask(lengths, x.shape[2])
        x = x.contiguous(memory_format=torch.channels_last)
        x, lengths = first, first_lengths = self.stages[0](x, lengths)
        for stage in self.stages[1:]:
            x, lengths = stage(x, lengths)
        frames = x.permute(0, 2, 1, 3).flatten(2)  # (batch, frames, channels * bands)
        scores = self.attention(frames).float()  # (batch, frames, pools)
        if lengths is not None:
            scores = scores.masked_fill(~time_mask(lengths, frames.shape[1])[:, 0], float("-inf"))
        weights = scores.softmax(1).to(frames.dtype)
        pools = (weights.transpose(1, 2) @ frames).flatten(1)
        parts, direction = [pools, masked_time_mean(frames, lengths)], None
        if self.direction_pools is not None:
            means, direction = self.direction_pools(features, first, x, first_lengths)
            parts.append(means)
        return torch.relu(self.linear(torch.cat(parts, dim=1))), direction


@dataclass
class ElsaSpatialOutput(ModelOutput):
    """Answer of `ElsaSpatialModel`.

    Args:
        pooler_output: `(batch, hidden_size)`.
        direction: `(batch, 3)`, x front, y left, z up, of any length; None without direction pools.
    """

    pooler_output: Tensor | None = None
    direction: Tensor | None = None


class ElsaSpatialPreTrainedModel(PreTrainedModel):
    """Base of the spatial models: configuration and initial weights."""

    config_class = ElsaSpatialConfig
    base_model_prefix = "spatial_model"
    main_input_name = "spatial_features"
    supports_gradient_checkpointing = True
    _supports_sdpa = True  # attention pooling only: any implementation will do
    _no_split_modules = ["MaskedConvStage", "PaperStage"]  # noqa: RUF012

    def _init_weights(self, module: nn.Module) -> None:
        init_convolutional(module)
        if isinstance(module, DirectionPools):
            module.init_weights()


class ElsaSpatialModel(ElsaSpatialPreTrainedModel):
    """Intensity features in, one spatial vector out (`pooler_output`), and a direction if it has direction pools."""

    def __init__(self, config: ElsaSpatialConfig):
        super().__init__(config)
        encoder = PaperSpatialEncoder if config.architecture == "paper" else CompactSpatialEncoder
        self.encoder = encoder(config)
        self.post_init()

    def forward(self, spatial_features: Tensor, attention_mask: Tensor | None = None) -> ElsaSpatialOutput:
        """Encode intensity features.

        Args:
            spatial_features: `(batch, channels, frames, bands)`.
            attention_mask: `(batch, frames)`, 1 on valid frames, padding on the right ("compact" only).

        Returns:
            `ElsaSpatialOutput`.

        Raises:
            ChannelError: channels or bands do not fit the configuration.
            AudioValueError: too few frames, or not the fixed number of "paper".
        """
        _, channels, _, bands = spatial_features.shape
        if (channels, bands) != (self.config.num_channels, self.config.num_bands):
            raise ChannelError(
                f"spatial_features has {channels} channels and {bands} bands; this model takes "
                f"{self.config.num_channels} ({', '.join(self.config.spatial_channels)}) and {self.config.num_bands}: "
                "use the feature extractor saved with it"
            )
        features = spatial_features.to(self.encoder.linear.weight.dtype)
        pooled, direction = self.encoder(features, attention_mask)
        return ElsaSpatialOutput(pooler_output=pooled, direction=direction)


@dataclass
class ElsaSpatialRegressionOutput(ModelOutput):
    """Answer of `ElsaSpatialModelForRegression`.

    Args:
        loss: scalar, if labels were given.
        logits: `(batch, 44)`: azimuth and elevation in radians, then distance, volume, 20 DRR, 20 T30 in the units of
            the labels (`regression_mean` and `regression_std` undone).
        pooler_output: `(batch, hidden_size)`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    pooler_output: Tensor | None = None


class ElsaSpatialModelForRegression(ElsaSpatialPreTrainedModel):
    """The spatial branch with the multi-task head it is pre-trained with (485,828 parameters for "paper")."""

    def __init__(self, config: ElsaSpatialConfig):
        super().__init__(config)
        self.spatial_model = ElsaSpatialModel(config)
        self.head = nn.Linear(config.hidden_size, NUM_REGRESSION_OUTPUTS)
        self.post_init()

    def forward(
        self, spatial_features: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None
    ) -> ElsaSpatialRegressionOutput:
        """Predict the spatial attributes of a recording.

        Args:
            spatial_features: `(batch, channels, frames, bands)`.
            attention_mask: as in `ElsaSpatialModel`.
            labels: `(batch, 44)` in the order and units of the output; NaN where a target is not known. The loss is
                the sum over the six tasks of cosine loss (angles) or mean squared error in standardised units (all
                others), as in appendix A.8.
        """
        pooled = self.spatial_model(spatial_features, attention_mask).pooler_output
        raw = self.head(pooled).float()
        angles, scaled = raw[:, :2], raw[:, 2:]
        mean = scaled.new_tensor(self.config.regression_mean or 0.0)
        std = scaled.new_tensor(self.config.regression_std or 1.0)
        loss = None
        if labels is not None:
            known = ~labels.isnan()
            labels = labels.to(raw).masked_fill(~known, 0.0)
            errors = torch.cat([1 - torch.cos(angles - labels[:, :2]), (scaled - (labels[:, 2:] - mean) / std) ** 2], 1)
            tasks = zip(
                errors.split(list(REGRESSION_OUTPUTS.values()), dim=1),
                known.split(list(REGRESSION_OUTPUTS.values()), dim=1),
                strict=True,
            )
            loss = torch.stack([(error * mask).sum() / mask.sum().clamp(min=1) for error, mask in tasks]).sum()
        logits = torch.cat([angles, scaled * std + mean], dim=1)
        return ElsaSpatialRegressionOutput(loss=loss, logits=logits, pooler_output=pooled)
