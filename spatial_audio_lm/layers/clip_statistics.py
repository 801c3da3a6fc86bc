"""What both ears heard over a whole clip, band by band: levels and coherence averaged as energies, not as maps.

The mean of a phase or of a level difference over frames counts a pause, where only noise is heard, as much as the
sound. Cross-power and powers are therefore summed over time first and compared afterwards, as one estimates a transfer
function between the ears: once over all frames, once over those in which a band rises above what it was before, where
the direct sound comes ahead of its reflections.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_QUIET_DB = 80.0  # so far below the loudest band, levels are those of nothing
_PAST_FRAMES = 4  # a rise is measured against the loudest of so many frames before
_VALUES = 5  # level difference, two of the phase, coherence, level


class ClipStatistics(nn.Module):
    """Numbers of a clip from its maps; nothing to learn.

    Args:
        num_mel_bins: bands of the maps.
        coherence_at: which map is the real part of `coherence`; the imaginary one follows. The first two maps are
            `log_mel` (see features/interaural.py).
    """

    def __init__(self, num_mel_bins: int, coherence_at: int):
        super().__init__()
        self.coherence_at = coherence_at
        self.size = 2 * _VALUES * num_mel_bins

    @torch.no_grad()
    def forward(self, input_features: Tensor) -> Tensor:
        """Maps `(batch, maps, frames, mels)`, not normalised, to `(batch, size)`, float32."""
        with torch.autocast(input_features.device.type, enabled=False):
            maps = input_features.float()
            log_mel, coherence = maps[:, :2], maps[:, self.coherence_at : self.coherence_at + 2]
            # Units of log_mel are half power decibels; relative to the loudest, so that nothing overflows.
            power = 10.0 ** ((log_mel - log_mel.amax(dim=(1, 2, 3), keepdim=True)) / 5.0)
            cross = coherence * power.prod(dim=1, keepdim=True).sqrt()
            total = power.sum(dim=1, keepdim=True)
            before = F.max_pool2d(F.pad(total, (0, 0, _PAST_FRAMES, 0)), (_PAST_FRAMES, 1), stride=1)[:, :, :-1]
            rise = (1.0 - before / total.clamp(min=1e-30)).clamp(min=0.0)
            energies = torch.cat([power, cross], dim=1)
            return torch.cat([self._compare((weight * energies).sum(2)) for weight in (1.0, rise)], dim=1)

    def _compare(self, sums: Tensor) -> Tensor:
        """Powers of left and right and both parts of the cross-power, `(batch, 4, mels)`, as `(batch, 5 * mels)`."""
        left, right, real, imag = sums.unbind(1)
        tiny = 1e-12 * (left + right).amax(dim=1, keepdim=True) + 1e-30
        magnitude = torch.hypot(real, imag)
        level = 10.0 * torch.log10(left + right + tiny)
        return torch.cat(
            [
                torch.log10((left + tiny) / (right + tiny)),
                real / (magnitude + tiny),
                imag / (magnitude + tiny),
                magnitude / ((left * right).sqrt() + tiny),
                (level - level.amax(dim=1, keepdim=True)).clamp(min=-_QUIET_DB) / _QUIET_DB,
            ],
            dim=1,
        )
