"""BAT against its published code: the same filled weights, through our converter, our processor and our `generate`."""

import json

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from spatial_audio_lm.models.bat.convert_bat import bat_from_published
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.models.bat.processing_bat import BatProcessor
from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig
from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import SpatialASTFeatureExtractor
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTModel
from tests.models.byte_tokenizer import byte_tokenizer
from tests.parity.filling import fill
from tests.parity.parity_case import ParityCase

LLAMA_2_7B = {"hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32, "num_attention_heads": 32}


def published_bat(case: ParityCase, language_model: LlamaForCausalLM) -> BatForConditionalGeneration:
    """BAT with the case's weights; its encoder is never asked, and only as wide as the published one."""
    state = fill(case.manifest)
    encoder = SpatialASTModel(SpatialASTConfig(num_hidden_layers=1))
    model, _, account = bat_from_published(state, encoder, language_model, {"audio_token_id": 300})
    assert set(account.loaded) == set(state) and not account.dropped
    filled = {target for targets in account.loaded.values() for target in targets}
    left = {name for name, parameter in model.named_parameters() if parameter.requires_grad} - filled
    assert not left and len(filled) == len(state)
    return model


@torch.no_grad()
def check_bat_qformer(case: ParityCase) -> None:
    """All layers of the Q-Former and the projection, with and without a mask; 303 tensors, 73,561,600 values."""
    with torch.device("meta"):
        language_model = LlamaForCausalLM(LlamaConfig(**LLAMA_2_7B))
    model = published_bat(case, language_model)
    trained = [p.numel() for p in model.parameters() if p.requires_grad]
    assert (len(trained), sum(trained)) == (303, 73_561_600)
    heard, projector = case.inputs["audio_hidden_states"].float(), model.audio_model.projector
    layers: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _, __, out: layers.append(out)) for layer in projector.qformer.encoder.layer
    ]
    normed: list[Tensor] = []
    hooks.append(projector.linear.register_forward_hook(lambda _, inputs, __: normed.append(inputs[0])))
    projected = model.get_audio_features(audio_hidden_states=heard).pooler_output
    mask = case.inputs["encoder_attention_mask"]
    masked = model.get_audio_features(audio_hidden_states=heard, audio_hidden_mask=mask).pooler_output
    for hook in hooks:
        hook.remove()
    answers = {f"layer{n}_first8": layers[n][:, :8] for n in range(8)} | {
        "projected_absmax": projected.abs().amax(-1),
        "projected_first512": projected[..., :512],
        "projected_last512": projected[..., -512:],
        "projected_mean": projected.mean(-1),
        "projected_masked_first512": masked[:, :8, :512],
        "qformer_last_hidden_state": normed[0],
        "qformer_last_hidden_state_masked_first8": normed[1][:, :8],
    }
    assert set(answers) == set(case.outputs)
    case.check(answers, dict.fromkeys(answers, case.manifest["tolerance"]))


def tiny_llama(case: ParityCase) -> LlamaForCausalLM:
    """The case's language model, whose weights are filled by the same rule."""
    manifest = json.loads((case.folder / "manifest_base_llm.json").read_text(encoding="utf-8"))
    model = LlamaForCausalLM(LlamaConfig(**case.manifest["config"]["llm"]))
    model.load_state_dict(fill(manifest), strict=True)
    return model


@torch.no_grad()
def check_bat_end_to_end(case: ParityCase) -> None:
    """What the collator gives in training and in asking, merged embeddings, loss, logits, accuracy; answers' ids."""
    model = published_bat(case, tiny_llama(case))
    processor = BatProcessor(SpatialASTFeatureExtractor(), byte_tokenizer(), num_query_tokens=64)
    model.config.audio_token_id = processor.audio_token_id
    questions, answers_in_words = (list(column) for column in zip(*case.manifest["config"]["qa"], strict=True))
    heard = case.inputs["audio_hidden_states_103"].float()

    for name, given in {
        "train": processor.tokenize_questions(questions, answers_in_words),
        "infer": processor.tokenize_questions(questions),
    }.items():
        places = given["input_ids"] == processor.audio_token_id
        ids = given["input_ids"].masked_fill(places, -1)
        assert torch.equal(ids, case.outputs[f"{name}_input_ids"])
        assert torch.equal(given["attention_mask"].to(torch.uint8), case.outputs[f"{name}_attention_mask"])
        assert torch.equal(places.to(torch.uint8), case.outputs[f"{name}_modality_mask"])
    train = processor.tokenize_questions(questions, answers_in_words)
    assert torch.equal(train["labels"], case.outputs["train_labels"])

    audio_embeds = model.get_audio_features(audio_hidden_states=heard).pooler_output
    merged = model.merged_embeds(train["input_ids"], audio_embeds)
    output = model(**train, audio_hidden_states=heard)
    places = train["input_ids"] == processor.audio_token_id
    learned = train["labels"][:, 1:] != -100
    found = output.logits.argmax(-1)[:, :-1]
    recorded = {
        "train_inputs_embeds_audio_slice": merged[places].view(len(heard), 64, -1)[..., :32],
        "train_inputs_embeds_checksum": merged.abs().sum(-1),
        "train_loss": output.loss[None],
        "train_token_accuracy": (found == train["labels"][:, 1:])[learned].float().mean()[None],
        "train_logits_from_first_answer": _logits_of_answers(output.logits, train["labels"]),
    }
    case.check(recorded, dict.fromkeys(recorded, case.manifest["tolerance"]))

    infer = processor.tokenize_questions(questions)
    settings = {"max_new_tokens": 16, "min_length": 1, "do_sample": False}
    start = infer["input_ids"].shape[1]
    for name, beams in (("greedy", 1), ("beam4", 4)):
        generated = model.generate(**infer, audio_hidden_states=heard, num_beams=beams, **settings)[:, start:]
        assert torch.equal(generated, case.outputs[f"generated_{name}"]), name


def _logits_of_answers(logits: Tensor, labels: Tensor) -> Tensor:
    """Four positions of each item, from the one that predicts the first token of its answer."""
    first = (labels != -100).int().argmax(1) - 1
    return torch.cat([row[at : at + 4] for row, at in zip(logits, first.tolist(), strict=True)])
