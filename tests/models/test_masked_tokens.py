"""Masks of masked autoencoders: drawn evenly and by seed, taken out of the tokens and filled in again."""

import torch

from spatial_audio_lm.layers.masking import random_mask, visible_tokens, with_mask_tokens


def test_masks_hide_as_many_in_each_item_and_every_token_alike() -> None:
    mask = random_mask(4000, 10, 7, torch.Generator().manual_seed(0))
    assert mask.dtype == torch.bool and (mask.sum(1) == 7).all()
    assert (mask.float().mean(0) - 0.7).abs().max() < 0.03
    together = mask[:, 0] & mask[:, 1]  # no token draws another: 7 of 10, then 6 of 9
    assert abs(float(together.float().mean()) - 42 / 90) < 0.03
    assert len(mask.unique(dim=0)) == 120  # all choices of 7 of 10


def test_masks_are_given_by_the_seed() -> None:
    first, again, other = (random_mask(3, 20, 15, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    torch.manual_seed(5)
    drawn = random_mask(3, 20, 15)
    torch.manual_seed(5)
    assert torch.equal(drawn, random_mask(3, 20, 15))


def test_what_was_taken_out_is_filled_in_again() -> None:
    tokens = torch.randn(3, 20, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mask = random_mask(3, 20, 15, torch.Generator().manual_seed(1))
    visible = visible_tokens(tokens, mask)
    for item in range(3):
        assert torch.equal(visible[item], tokens[item][~mask[item]])  # in their order
    token = torch.full((1, 1, 4), 9.0, requires_grad=True)
    filled = with_mask_tokens(visible, mask, token)
    assert torch.equal(filled, torch.where(mask[:, :, None], torch.tensor(9.0), tokens))
    filled.sum().backward()
    assert torch.equal(token.grad, torch.full((1, 1, 4), 45.0))  # 3 times 15 hidden
    assert torch.equal(tokens.grad[:, :, 0], (~mask).float())
