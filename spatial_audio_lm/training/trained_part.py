"""A model of which a small part is trained: its checkpoints hold that part alone."""

from typing import Any

from torch import Tensor, nn

from spatial_audio_lm.errors import CheckpointError


class TrainedPart(nn.Module):
    """The model, with a state that leaves out what is frozen: that comes from where it came from at the begin.

    Seven billion frozen weights would else be written with every checkpoint, and averaged with every step.

    Args:
        model: some of whose parameters take a gradient.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's."""
        return self.model(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """The parameters that are trained; tied ones once."""
        return {name: value.detach() for name, value in self.model.named_parameters() if value.requires_grad}

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> None:
        """Take them back.

        Raises:
            CheckpointError: other names or shapes.
        """
        own: dict[str, Tensor] = self.state_dict()
        different = sorted(own.keys() ^ state_dict.keys())
        different += [name for name in own.keys() & state_dict.keys() if own[name].shape != state_dict[name].shape]
        if different:
            raise CheckpointError(f"another part of the model was trained: {', '.join(different[:4])} differ")
        for name, value in own.items():
            value.copy_(state_dict[name])
