"""A place for each sound: what `DSpASTForSELD` adds to DSpAST's heads."""

import math
from pathlib import Path

import pytest
import torch

from spatial_audio_lm import DSpASTConfig, DSpASTForSELD, DSpASTForSoundEventLocalization
from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.models.dspast.told_sounds import ABOVE_DEG, LOUDNESS, TOWARDS_DEG, told_dim
from tests.models.model_cases import SMALL_DSPAST, noise, seld_labels

PER_SOUND = {"readout": "pooled", "place_per_sound": True, "drop_mel_patches": 0.0}
NAMES = {0: "dog", 1: "rain", 2: "bell", 3: "siren", 4: "wind"}


def small(**settings: object) -> DSpASTForSELD:
    torch.manual_seed(0)
    return DSpASTForSELD(DSpASTConfig(**(SMALL_DSPAST | PER_SOUND | settings))).eval()


def features(batch: int = 3) -> torch.Tensor:
    return noise(3, batch, 6, 32, 16)


@pytest.mark.parametrize("adacos", [True, False])
@torch.no_grad()
def test_begins_where_the_recordings_heads_are(tmp_path: Path, adacos: bool) -> None:
    """With a trained DSpAST's weights, and before it has learned, every sound is where the recording is."""
    torch.manual_seed(1)
    pooled = {"adacos": adacos, "readout": "pooled"}
    before = DSpASTForSoundEventLocalization(DSpASTConfig(**(SMALL_DSPAST | pooled))).eval()
    before.save_pretrained(tmp_path)
    config = DSpASTConfig.from_pretrained(tmp_path, place_per_sound=True)
    model = DSpASTForSELD.from_pretrained(tmp_path, config=config).eval()
    one, each = before(features()), model(features())
    assert torch.equal(each.last_hidden_state, one.last_hidden_state)
    torch.testing.assert_close(each.event_logits, one.event_logits)
    for head in ("distance", "azimuth", "elevation"):
        logits = each[f"{head}_logits"]
        torch.testing.assert_close(logits, one[f"{head}_logits"][:, None].expand_as(logits))


@torch.no_grad()
def test_every_sound_has_an_answer_of_its_own() -> None:
    model = small(id2label=NAMES, adacos=False, head_init_std=1.0, decoding="argmax")
    torch.nn.init.normal_(model.sound_scores.weight, std=30.0)
    for layer in (layer for readout in model.readouts.values() for layer in readout.mlp[::3]):
        torch.nn.init.normal_(layer.weight)
    outputs = model(features(), is_spatial=torch.tensor([True, True, False]))
    heard = model.decode(outputs, threshold=0.0)
    bins = model.config.bins
    for row, events in enumerate(heard):
        assert sorted(event.label for event in events) == sorted(NAMES.values())
        assert [event.probability for event in events] == sorted((e.probability for e in events), reverse=True)
        for event in events:
            label = next(number for number, name in NAMES.items() if name == event.label)
            distance = bins.distance_m(outputs.distance_logits[row, label].argmax())
            assert event.distance_m == pytest.approx(float(distance))
            assert event.probability == pytest.approx(float(outputs.event_logits[row, label].sigmoid()))
            if row == 2:
                assert event.azimuth_deg is None and "both ears" in event.no_direction_reason
            else:
                azimuth = bins.azimuth_deg(outputs.azimuth_logits[row, label].argmax())
                assert event.azimuth_deg == pytest.approx(float(azimuth), abs=1e-4)
    assert (outputs.sound_tokens[:, 0] - outputs.sound_tokens[:, 1]).abs().max() > 0.1


def test_two_sounds_learn_two_places() -> None:
    """Which of two sounds is where depends on what is heard: one recording and its opposite, learned by heart."""
    torch.manual_seed(0)
    model = small(adacos=False, head_init_std=0.1, id2label={0: "dog", 1: "rain"}, num_labels=2).train()
    there = torch.ones(2, 2)
    azimuth = torch.tensor([[90.0, -90.0], [-90.0, 90.0]])
    labels = {"events": there, "azimuth_deg": azimuth, "elevation_deg": 0 * there, "distance_m": 1 + 0 * there}
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = model(features(2), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        heard = model.decode(model(features(2)), threshold=0.0)
    found = [{event.label: event.azimuth_deg for event in events} for events in heard]
    assert found == [{"dog": 90.0, "rain": -90.0}, {"dog": -90.0, "rain": 90.0}]


def test_places_of_absent_sounds_are_not_looked_at() -> None:
    model = small()
    labels = seld_labels(3)["labels"]
    absent = labels["events"] == 0
    assert absent.any() and not absent.all()
    hidden = {name: torch.where(absent, torch.nan, value) for name, value in labels.items() if name != "events"}
    with torch.no_grad():
        loss = model(features(), labels=labels).loss
        assert torch.equal(model(features(), labels=hidden | {"events": labels["events"]}).loss, loss)
        mono = model(features(), labels=labels, is_spatial=torch.zeros(3, dtype=torch.bool))
    assert mono.loss_components["azimuth"] == mono.loss_components["elevation"] == 0
    assert mono.loss_components["distance"] > 0
    assert math.isfinite(float(loss))


def test_named_errors() -> None:
    with pytest.raises(ConfigError, match="place_per_sound is False"):
        DSpASTForSELD(DSpASTConfig(**SMALL_DSPAST))
    with pytest.raises(ConfigError, match="expected 'pooled'"):
        DSpASTConfig(place_per_sound=True)
    with pytest.raises(ConfigError, match="num_told_sounds is 0; expected"):
        small(num_told_sounds=0)
    labels = seld_labels(3)["labels"]
    for wrong in (
        {"events": labels["events"]},
        labels | {"azimuth_deg": labels["azimuth_deg"][:, 0]},
        labels | {"is_loud": labels["events"]},
    ):
        with pytest.raises(
            DataError, match=r"expected \['azimuth_deg', 'distance_m', 'elevation_deg', 'events'\], each"
        ):
            small()(features(), labels=wrong)


@pytest.mark.parametrize("adacos", [True, False])
@torch.no_grad()
def test_what_a_language_model_is_told(adacos: bool) -> None:
    """Which sounds are there, and of each on which side of every border, times its own probability."""
    model = small(adacos=adacos, head_init_std=1.0, num_told_sounds=3)
    config, outputs = model.config, model(features())
    told = model.readout_tokens(outputs.last_hidden_state, features())
    assert told.shape == (3, 3, told_dim(config))
    first = outputs.event_logits.argsort(dim=-1, descending=True)[:, :3]
    rows = torch.arange(3)[:, None]
    there = outputs.event_logits.sigmoid()[rows, first]
    counts = (5, len(TOWARDS_DEG), len(ABOVE_DEG), config.num_distance_bins - 1)
    parts = [part / loud for part, loud in zip(told.split(counts, dim=-1), LOUDNESS.values(), strict=True)]
    which, azimuth, elevation, distance = parts
    assert torch.equal(which.argmax(-1), first)
    torch.testing.assert_close(which.sum(-1), there)

    def probabilities(head: str) -> torch.Tensor:
        return model.class_scores(head, outputs[f"{head}_logits"]).softmax(-1)[rows, first]

    degrees = config.bins.azimuth_deg(torch.arange(config.num_azimuth_bins))
    for towards, told_of in zip(TOWARDS_DEG, azimuth.unbind(-1), strict=True):
        side = torch.deg2rad(degrees - towards).cos().round(decimals=5).sign()
        torch.testing.assert_close(told_of, there * (probabilities("azimuth") @ side))
    degrees = config.bins.elevation_deg(torch.arange(config.num_elevation_bins))
    for border, told_of in zip(ABOVE_DEG, elevation.unbind(-1), strict=True):
        above = probabilities("elevation")[..., degrees > border].sum(-1)
        below = probabilities("elevation")[..., degrees < border].sum(-1)
        torch.testing.assert_close(told_of, there * (above - below))
    nearer = probabilities("distance").cumsum(-1)[..., :-1]
    torch.testing.assert_close(distance, there[..., None] * (1 - 2 * nearer))


@torch.no_grad()
def test_saved_and_loaded_it_says_the_same(tmp_path: Path) -> None:
    model = small()
    model.save_pretrained(tmp_path)
    again = DSpASTForSELD.from_pretrained(tmp_path).eval()
    assert torch.equal(again(features()).azimuth_logits, model(features()).azimuth_logits)
