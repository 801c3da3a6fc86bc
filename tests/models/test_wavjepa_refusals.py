"""What WavJEPA refuses in settings, options, values and saved weights, in words that say what is expected."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from spatial_audio_lm.errors import AudioValueError, CheckpointError, ConfigError, DataError
from spatial_audio_lm.models.wavjepa.configuration_wavjepa import WavJEPAConfig
from spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa import WavJEPAFeatureExtractor
from spatial_audio_lm.models.wavjepa.long_recordings_wavjepa import embedded_parts
from spatial_audio_lm.models.wavjepa.modeling_wavjepa import WavJEPAModel
from spatial_audio_lm.models.wavjepa.modeling_wavjepa_pretraining import WavJEPAForPreTraining
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from tests.models.model_cases import SMALL_WAVJEPA, noise, wavjepa_masks

RATE = 16_000
NAN, INF = float("nan"), float("inf")
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


def small(channels: int = 1) -> tuple[WavJEPAModel, WavJEPAFeatureExtractor]:
    torch.manual_seed(0)
    model = WavJEPAModel(WavJEPAConfig(channels, **SMALL_WAVJEPA)).eval()  # windows of 400 samples
    return model, WavJEPAFeatureExtractor.for_model(model.config)


@pytest.mark.parametrize("value", [0, -2, "16", 48.0, True, None])
@pytest.mark.parametrize("name", [*SIZES, *(f"predictor_{name}" for name in SIZES), "window_samples", "sampling_rate"])
def test_sizes_are_whole_numbers(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is {value!r}; expected a whole number"):
        WavJEPAConfig(**(SMALL_WAVJEPA | {name: value}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        *(({"conv_layers": value}, "conv_layers is .*channels, kernel and stride of each, whole numbers")
          for value in (None, 5, [8, 10, 5], [(8.5, 10, 5)], [(8, -10, 5)], [(True, 10, 5)], "[(8,10,5)]")),
        *(({name: value}, f"{name} is .*expected a number above 0")
          for name in ("layer_norm_eps", "final_norm_eps") for value in (-1.0, "a", NAN, INF, 0, None, True)),
        *(({"average_top_k": value}, "average_top_k is .*1 to 3 layers") for value in (1.5, 0, True, "2")),
        *(({"num_channels": value}, "num_channels is .*expected 1, or 2") for value in (True, 1.0, "2")),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"predictor_num_attention_heads": 5}, "predictor_num_attention_heads is 5; expected a divisor of 24"),
        ({"sampling_rate": 500_000}, "sampling_rate is 500000; expected a whole number from 4000 to 384000"),
    ],
)  # fmt: skip
def test_settings_of_another_kind(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WavJEPAConfig(**(SMALL_WAVJEPA | settings))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"level_dbfs": value}, "level_dbfs is .*a number from -120 to 0") for value in (NAN, "loud", 1e9, True)),
        ({"level_dfbs": -3.0}, "WavJEPAFeatureExtractor has no level_dfbs: did you mean level_dbfs"),
        ({"padding_value": 1.0}, "padding_value is 1.0; only 0.0"),
        ({"padding_side": "left"}, "padding_side is 'left'; only 'right'"),
        ({"return_attention_mask": False}, "return_attention_mask is False; only True"),
        ({"feature_size": True}, "feature_size is True"),
        ({"sampling_rate": 0}, "sampling_rate is 0"),
    ],
)
def test_options_of_the_feature_extractor(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WavJEPAFeatureExtractor(**options)


def test_the_files_of_another_feature_extractor(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="settings of a GramFeatureExtractor"):
        WavJEPAFeatureExtractor.from_dict({"feature_extractor_type": "GramFeatureExtractor", "feature_size": 1})


@pytest.mark.parametrize("size", [1e-40, 1e-25, 1e20, 1e36])
def test_very_soft_and_very_loud_recordings(size: float) -> None:
    model, extractor = small()
    clip = noise(0, 1, 900)
    expected = extractor(clip, sampling_rate=RATE)["input_values"]
    scaled = (clip.double() * size).float()
    found = extractor(scaled, sampling_rate=RATE)["input_values"]
    # A number of 1e-40 has few digits.
    torch.testing.assert_close(found, expected, atol=1e-3 if size < 1e-38 else 1e-5, rtol=1e-4)
    heard = model(found).last_hidden_state
    parts = embedded_parts(model, extractor, SpatialAudio(scaled, RATE, "mono"), 1)
    torch.testing.assert_close(torch.cat([part.last_hidden_state for _, part in parts], dim=2), heard)


def test_values_that_are_no_waveforms() -> None:
    model, _ = small()
    given = noise(0, 2, 1, 700)
    for values, message in (
        ([given], "is of list; expected a tensor"),
        (given.numpy(), "is of ndarray; expected a tensor.*return_tensors='pt'"),
        (torch.complex(given, given), "is of torch.complex64"),
        (given.long(), "is of torch.int64"),
        (given[:0], "which is no clip"),
    ):
        with pytest.raises(AudioValueError, match=message):
            model(values)
    for mask in ([[1] * 700] * 2, torch.ones(2, 700).numpy()):
        with pytest.raises(AudioValueError, match=r"attention_mask is a .*; expected a tensor"):
            model(given, mask)
    for number in (1.5, "8", None, True):
        with pytest.raises(ConfigError, match=rf"windows_at_once is {number!r}"):
            model(given, windows_at_once=number)


@pytest.mark.parametrize("value", [NAN, INF])
def test_values_that_are_not_finite(value: float) -> None:
    model, _ = small()
    broken = noise(0, 2, 1, 700)
    broken[1, 0, 650] = value
    with pytest.raises(AudioValueError, match="NaN or infinity at sample 650 of clip 1"):
        model(broken)
    mask = torch.arange(700) < torch.tensor([[700], [650]])
    assert model(broken, mask).scene_mean.isfinite().all()  # behind the end anything may stand
    with pytest.raises(AudioValueError, match="NaN or infinity at sample 399 of clip 0"):
        pretraining(torch.cat([noise(0, 1, 1, 399), torch.full((1, 1, 1), value)], dim=2), **wavjepa_masks(1))


def pretraining(values: Any, context_mask: Any, target_masks: Any) -> Any:
    return WavJEPAForPreTraining(WavJEPAConfig(**SMALL_WAVJEPA))(values, context_mask, target_masks)


def test_masks_of_pretraining() -> None:
    windows, masks = noise(0, 2, 1, 400), wavjepa_masks(2)
    context, targets = masks["context_mask"], masks["target_masks"]
    with pytest.raises(DataError, match="context_mask is a list"):
        pretraining(windows, context.tolist(), targets)
    with pytest.raises(DataError, match="target_masks has no groups"):
        pretraining(windows, context, targets[:, :0])
    with pytest.raises(AudioValueError, match="which is no clip"):
        pretraining(windows[:0], context[:0], targets[:0])


def test_what_the_configuration_says_of_the_answer() -> None:
    model, _ = small()
    values = noise(0, 1, 1, 700)
    plain = model(values)
    answer = model(values, return_dict=False)
    assert isinstance(answer, tuple) and torch.equal(answer[0], plain.last_hidden_state)
    model.config.output_hidden_states = True
    assert len(model(values).hidden_states) == 4 and model(values, output_hidden_states=False).hidden_states is None
    model.config.return_dict = False
    assert isinstance(model(values), tuple) and not isinstance(model(values, return_dict=True), tuple)


@pytest.mark.parametrize("channels", [1, 2])
def test_padding_that_the_model_was_not_told_of(channels: int) -> None:
    model, extractor = small(channels)
    clips: list[Tensor] = [noise(1, channels, 800), noise(2, channels, 530)]
    for given in (clips, clips[1:]):
        published = extractor(given, sampling_rate=RATE, published_padding=True)
        with pytest.raises(AudioValueError, match="give published_padding=True to the model too, or to neither"):
            model(**published)
        assert model(**published, published_padding=True).scene_mean.isfinite().all()
        model(**extractor(given, sampling_rate=RATE))


def test_parts_of_a_long_recording() -> None:
    model, extractor = small()
    recording = SpatialAudio(0.1 * noise(0, 1, 4_000), RATE, "mono")
    for windows in (1.5, "8", None, True):
        with pytest.raises(ConfigError, match=rf"windows is {windows!r}"):
            next(embedded_parts(model, extractor, recording, windows))  # type: ignore[arg-type]
    with pytest.raises(AudioValueError, match=r"recording is a Tensor; expected SpatialAudio.*from_array"):
        next(embedded_parts(model, extractor, recording.waveform))  # type: ignore[arg-type]


def test_weights_that_do_not_fit_or_are_damaged(tmp_path: Path) -> None:
    WavJEPAForPreTraining(WavJEPAConfig(**SMALL_WAVJEPA)).save_pretrained(tmp_path)
    for model_class in (WavJEPAModel, WavJEPAForPreTraining):
        with pytest.raises(CheckpointError, match=r"wrong shapes: .*positions\.table"):
            model_class.from_pretrained(tmp_path, num_channels=2)
        with pytest.raises(CheckpointError, match=r"missing: .*encoder\.blocks\.3"):
            model_class.from_pretrained(tmp_path, num_hidden_layers=4)
    file = tmp_path / "model.safetensors"
    whole = load_file(file)
    save_file(
        {name: value for name, value in whole.items() if name != "wavjepa.projection.bias"}, file, {"format": "pt"}
    )
    with pytest.raises(CheckpointError, match=r"missing: projection\.bias"):
        WavJEPAModel.from_pretrained(tmp_path)
    for value in (NAN, INF):
        broken = whole | {"wavjepa.encoder.norm.bias": torch.full((32,), value)}
        save_file(broken, file, {"format": "pt"})
        with pytest.raises(CheckpointError, match=r"damaged weights: not finite: encoder\.norm\.bias"):
            WavJEPAModel.from_pretrained(tmp_path)
