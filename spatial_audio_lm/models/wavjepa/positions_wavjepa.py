"""Fixed positions of frames in time and, with two channels, of the channel that a frame is of."""

import torch
from torch import Tensor, nn
from transformers import initialization as init


def sincos_table(positions: Tensor, dim: int) -> Tensor:
    """Sines, then cosines, of each position times 10000^(-i / (dim / 2)): `(positions, dim)`, float64."""
    rates = 10_000.0 ** (-torch.arange(dim // 2, dtype=torch.float64) / (dim // 2))
    angles = positions.double()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def frame_positions(num_channels: int, num_frames: int, dim: int) -> Tensor:
    """The published tables.

    Of one channel all numbers count time. Of two the first half does, in the same way for both channels; the second
    half is a flag: zeros for the left one, the sines and cosines of 0 (zeros, then ones) for the right one.

    Returns:
        `(num_channels, num_frames, dim)`, float32.
    """
    frames = torch.arange(num_frames)
    if num_channels == 1:
        return sincos_table(frames, dim)[None].float()
    times = sincos_table(frames, dim // 2)
    right = sincos_table(torch.zeros(num_frames), dim // 2)
    return torch.stack([torch.cat([times, flag], dim=1) for flag in (torch.zeros_like(right), right)]).float()


class FramePositions(nn.Module):
    """The table of positions, a persistent buffer `(channels, frames, dim)`."""

    table: Tensor

    def __init__(self, num_channels: int, num_frames: int, dim: int):
        super().__init__()
        self.sizes = num_channels, num_frames, dim
        self.register_buffer("table", frame_positions(*self.sizes))

    def reset(self) -> None:
        """Writes the table (a model built on the meta device has none)."""
        init.copy_(self.table, frame_positions(*self.sizes))

    def forward(self, frames: Tensor) -> Tensor:
        """Frames `(batch, channels, frames, dim)`, the first ones of a window, with their positions."""
        return frames + self.table[:, : frames.shape[2]].to(frames.dtype)
