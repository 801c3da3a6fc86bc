"""The simplest predictor of a spectrogram's hidden patches: in each band always the mean of all training targets.

A masked autoencoder that is not better has learned the colour of the sounds and nothing about the one at hand.
"""

import torch
from torch import Tensor, nn

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.objectives.processes import gather_rows


class MeanSpectrum(nn.Module):
    """The running mean of the targets in each band, and how far off it is; no parameters, two buffers to resume.

    As in batch norm, only in train mode a batch is counted: `eval()` measures what training never met.

    Args:
        bands: integers `(patches, values)`: which band (of which feature map) each number of a patch belongs to, from
            0. Cut a map of band numbers with the model's own function to get it.
    """

    bands: Tensor
    total: Tensor
    count: Tensor

    def __init__(self, bands: Tensor):
        super().__init__()
        number = int(bands.max()) + 1
        self.register_buffer("bands", bands.long(), persistent=False)
        self.register_buffer("total", torch.zeros(number, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(number, dtype=torch.float64))

    @torch.no_grad()
    def forward(self, target: Tensor, mask: Tensor) -> Tensor:
        """Counts a batch of targets (of all processes) if in train mode, then predicts its hidden patches.

        Args:
            target: `(batch, patches, values)`, hidden patches and visible ones: in training both are known.
            mask: bool `(batch, patches)`, True where a patch was hidden.

        Returns:
            Scalar: the mean squared error over the values of this process's hidden patches.

        Raises:
            DataError: shapes that do not fit, or nothing was counted yet.
        """
        if target.shape[1:] != self.bands.shape or mask.shape != target.shape[:2]:
            raise DataError(
                f"target {tuple(target.shape)}, mask {tuple(mask.shape)}; expected (batch, {self.bands.shape[0]}, "
                f"{self.bands.shape[1]}) and (batch, {self.bands.shape[0]}), as the bands were given"
            )
        if self.training:
            self._count(target)
        if not self.count.all():
            raise DataError("the mean spectrum has counted no target yet: call it in train mode first")
        mean = (self.total / self.count).float()[self.bands]
        return (target.float() - mean)[mask].square().mean()

    def _count(self, target: Tensor) -> None:
        flat = self.bands.flatten()
        sums = torch.zeros_like(self.total).index_add_(0, flat, target.double().sum(0).flatten())
        self.total += gather_rows(sums[None]).sum(0)
        items = gather_rows(torch.full((1,), len(target), device=flat.device)).sum()
        self.count += items * torch.bincount(flat, minlength=len(self.count))
