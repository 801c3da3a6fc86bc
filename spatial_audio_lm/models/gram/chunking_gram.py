"""How a clip of any length becomes chunks, and which of their rows of patches count.

A row is all patches of one moment: 80 ms, or 20 ms in the "time" variants. By default a clip has as many rows as it
takes to cover its frames, but for the last frame: of a centred frame at the very end half lies behind the clip. Ten
seconds (1001 frames) are 125 rows in five chunks; what is missing in the last row of another length is filled with the
mean of its chunk, and rows behind it are not heard at all, as pre-training heard only a share of the patches.

The published code fills the last chunk with zeros (of the logarithm of power: a rather loud sound), always, so that
ten seconds have a sixth chunk of one frame, and a clip of exactly 200 frames a second one of none.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from spatial_audio_lm.errors import AudioValueError
from spatial_audio_lm.models.gram.configuration_gram import GramConfig


@dataclass(frozen=True)
class ChunkPlan:
    """What is heard of each clip of a batch.

    Args:
        frames: `(batch,)`, frames of the clip that are heard.
        counted: `(batch, chunks * num_frames)`, bool: the frames that a chunk's mean and variance are taken of.
        heard: `(batch, chunks)`, rows of patches that the encoder hears of each chunk; 0 where the clip has ended.
        rows: `(batch,)`, rows of the frame embeddings.
        row_s: `(batch,)`, seconds from one of them to the next.
    """

    frames: Tensor
    counted: Tensor
    heard: Tensor
    rows: Tensor
    row_s: Tensor


def plan_chunks(config: GramConfig, frames: Tensor, published: bool = False) -> ChunkPlan:
    """Cuts clips into chunks.

    Args:
        config: sizes of chunks and patches.
        frames: `(batch,)`, frames of each clip.
        published: as the published code does.

    Raises:
        AudioValueError: a clip shorter than one patch, unless `published`.
    """
    size, step = config.num_frames, config.patch_frames
    rows_of_chunk = size // step
    if published:
        chunks = frames // size + 1
        total = chunks * rows_of_chunk
        rows = total - rows_of_chunk * (size - frames % size) // size
        row_s = (frames - 1) * config.frame_s / rows  # rows are stretched over the clip
    else:
        if int(frames.min()) < step:
            raise AudioValueError(
                f"a clip has {int(frames.min())} frames; GRAM needs those of one patch at least, {step}, which "
                f"{1e3 * (step - 1) * config.frame_s:g} ms of sound have: pad the recording"
            )
        rows = total = (frames - 1 + step - 1) // step
        row_s = torch.full(frames.shape, step * config.frame_s, device=frames.device)
    first = torch.arange(0, int(total.max()), rows_of_chunk, device=frames.device)
    heard = (total[:, None] - first).clamp(0, rows_of_chunk)
    frames = torch.minimum(frames, total * step)
    place = torch.arange(len(first) * size, device=frames.device)
    return ChunkPlan(frames, place < (total * step if published else frames)[:, None], heard, rows, row_s)
