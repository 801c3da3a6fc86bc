"""BAT's processor: all channels of every form of recording, prompts that end together, labels on the answers alone."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoProcessor

from spatial_audio_lm.errors import (
    AudioValueError,
    ChannelError,
    CheckpointError,
    ConfigError,
    SampleRateError,
    TextError,
)
from spatial_audio_lm.models.bat.processing_bat import PROMPT_TEMPLATE, BatProcessor
from spatial_audio_lm.models.checkpoints import checkpoint_folder
from spatial_audio_lm.models.dspast.feature_extraction_dspast import DSpASTFeatureExtractor
from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor
from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor
from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import SpatialASTFeatureExtractor
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from tests.models.byte_tokenizer import byte_tokenizer, letters_of_bytes
from tests.models.model_cases import noise, small_bat

QUESTION, AUDIO = "Where is the dog?", 259
RATE = 32_000


def processor(**settings: Any) -> BatProcessor:
    return BatProcessor(SpatialASTFeatureExtractor(), byte_tokenizer(), **({"num_query_tokens": 4} | settings))


def recording(seed: int = 0) -> torch.Tensor:
    """Two ears that hear different things for a second."""
    return 0.1 * noise(seed, 2, RATE)


def words(ids: torch.Tensor) -> str:
    """The text of a sequence; the recording's places are A, padding (and the end) is dropped."""
    tokens = {AUDIO: "A", 1: "<s>", 2: ""}
    return "".join(tokens.get(i) or ("" if i == 2 else chr(i - 3)) for i in ids.tolist())


def test_the_recording_stands_before_the_text() -> None:
    inputs = processor()(QUESTION, SpatialAudio(recording(), RATE, "binaural"), "left")
    prompt = PROMPT_TEMPLATE.replace("{question}", QUESTION)
    assert words(inputs["input_ids"][0]) == f"AAAA<s>{prompt}left" and inputs["input_ids"][0, -1] == 2
    assert prompt.endswith(f"### Instruction:\n{QUESTION}\n\n### Response:")
    learned = inputs["labels"][0] != -100
    assert words(inputs["input_ids"][0, learned]) == "left" and learned.sum() == 5
    assert torch.equal(inputs["labels"][0, learned], inputs["input_ids"][0, learned])
    assert inputs["attention_mask"].all()


def test_all_prompts_of_a_batch_end_together() -> None:
    questions, answers = ["Is it?", QUESTION, "What sounds here?"], ["no", "left, front; 2.5m", "rain"]
    inputs = processor().tokenize_questions(questions, answers)
    ids, mask, labels = inputs["input_ids"], inputs["attention_mask"], inputs["labels"]
    begin = (labels != -100).int().argmax(1)
    assert len(set(begin.tolist())) == 1
    for row, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        alone = processor().tokenize_questions(question, answer)
        heard = mask[row].bool()
        assert torch.equal(ids[row, heard], alone["input_ids"][0])
        assert torch.equal(labels[row, heard], alone["labels"][0])
        assert (labels[row, ~heard] == -100).all() and (ids[row, ~heard] == 2).all()
    asked = processor().tokenize_questions(questions)
    assert "labels" not in asked and torch.equal(asked["input_ids"], ids[:, : int(begin[0])])
    assert AUDIO not in processor().tokenize_questions(questions, with_audio=False)["input_ids"]


def test_a_tokenizer_that_joins_prompt_and_answer_keeps_the_prompt() -> None:
    tokenizer = byte_tokenizer(merges=((":", "l"),))
    joined = tokenizer("Response:left")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(joined)[9] == letters_of_bytes()[ord(":")] + "l"
    mine = BatProcessor(SpatialASTFeatureExtractor(), tokenizer, num_query_tokens=4)
    asked, learned = mine.tokenize_questions(QUESTION), mine.tokenize_questions(QUESTION, "left")
    prompt = asked["input_ids"].shape[1]
    assert torch.equal(learned["input_ids"][:, :prompt], asked["input_ids"])
    assert mine.decode_answers(learned["input_ids"][:, prompt:]) == ["left"]


def test_every_form_of_a_recording_keeps_its_channels(tmp_path: Path) -> None:
    waveform = recording()
    audio = SpatialAudio(waveform, RATE, "binaural")
    audio.save(tmp_path / "clip.wav")
    read = SpatialAudio.load(tmp_path / "clip.wav")
    part = {"type": "text", "text": QUESTION}

    def chat(source: Any, key: str) -> list[dict[str, Any]]:
        return [{"role": "user", "content": [{"type": "audio", key: source}, part]}]

    mine = processor()
    expected = mine(QUESTION, read)
    assert (expected["input_features"][0, 0] - expected["input_features"][0, 1]).abs().max() > 1  # two ears
    samples = read.waveform
    forms = {
        "path": mine(QUESTION, str(tmp_path / "clip.wav")),
        "array": mine(QUESTION, samples.numpy(), sampling_rate=RATE),
        "dict": mine(QUESTION, {"array": samples.numpy(), "sampling_rate": RATE}),
        "chat, path": mine.apply_chat_template(chat(str(tmp_path / "clip.wav"), "path"), tokenize=True),
        "chat, array": mine.apply_chat_template(chat(samples.numpy(), "audio"), tokenize=True, sampling_rate=RATE),
        "chat, recording": mine.apply_chat_template([chat(read, "audio")], tokenize=True, add_generation_prompt=True),
    }
    for name, inputs in forms.items():
        assert inputs.keys() == expected.keys(), name
        assert all(torch.equal(inputs[key], expected[key]) for key in expected), name


def test_a_conversation_with_an_answer_is_learned() -> None:
    mine, audio = processor(), SpatialAudio(recording(), RATE, "binaural")
    user = {"role": "user", "content": [{"type": "audio", "audio": audio}, {"type": "text", "text": QUESTION}]}
    answers = (
        {"role": "assistant", "content": "left"},
        {"role": "assistant", "content": [{"type": "text", "text": "left"}]},
    )
    for answer in answers:
        inputs, expected = mine.apply_chat_template([user, answer], tokenize=True), mine(QUESTION, audio, "left")
        assert all(torch.equal(inputs[key], expected[key]) for key in expected)
    in_words = mine.apply_chat_template([user, answers[0]])
    assert in_words == "<|audio|>" * 4 + "<s>" + mine.prompt(QUESTION) + "left</s>"
    ids = mine.tokenizer(in_words, add_special_tokens=False)["input_ids"]
    assert ids == mine(QUESTION, audio, "left")["input_ids"][0].tolist()
    assert torch.equal(mine.apply_chat_template([user], tokenize=True, return_dict=False)[0], torch.tensor(ids[:-5]))


@pytest.mark.parametrize(
    ("extractor", "audio", "names"),
    [
        (DSpASTFeatureExtractor(), SpatialAudio(recording(), RATE, "binaural"), {"input_features"}),
        (
            GramFeatureExtractor(),
            SpatialAudio(recording(), RATE, "binaural"),
            {"input_features", "audio_attention_mask"},
        ),
        (
            ElsaFeatureExtractor.compact(),
            SpatialAudio(0.1 * noise(0, 4, 80_000), 16_000, "foa"),
            {"input_features", "spatial_features"},
        ),
    ],
    ids=["dspast", "gram", "elsa"],
)
def test_the_features_of_every_encoder_have_names_of_their_own(extractor: Any, audio: SpatialAudio, names: set) -> None:
    inputs = BatProcessor(extractor, byte_tokenizer(), num_query_tokens=4)([QUESTION] * 2, [audio] * 2)
    assert set(inputs) == names | {"input_ids", "attention_mask"} and len(inputs["input_ids"]) == 2


def test_saved_and_loaded_it_gives_the_same(tmp_path: Path) -> None:
    mine = processor(prompt_template="Q: {question} A:", num_query_tokens=3)
    mine.save_pretrained(tmp_path)
    small_bat().config.save_pretrained(tmp_path)
    audio = SpatialAudio(recording(), RATE, "binaural")
    for loaded in (BatProcessor.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)):
        assert isinstance(loaded, BatProcessor) and loaded.audio_token_id == AUDIO
        inputs, expected = loaded(QUESTION, audio, "left"), mine(QUESTION, audio, "left")
        assert inputs.keys() == expected.keys() and all(torch.equal(inputs[key], expected[key]) for key in expected)


def test_another_models_processor_is_refused() -> None:
    with pytest.raises(CheckpointError, match="holds a SpatialCaptionerProcessor; expected a BatProcessor"):
        BatProcessor.from_pretrained(checkpoint_folder("captioner-tiny"))
    loaded = BatProcessor.from_pretrained(checkpoint_folder("bat-tiny"))
    assert loaded.num_query_tokens == 16


def test_a_token_that_is_there_is_taken_and_a_new_one_is_the_first_behind_the_vocabulary() -> None:
    tokenizer = byte_tokenizer()
    assert len(tokenizer) == AUDIO == BatProcessor(SpatialASTFeatureExtractor(), tokenizer).audio_token_id
    assert BatProcessor(SpatialASTFeatureExtractor(), tokenizer).audio_token_id == AUDIO and len(tokenizer) == AUDIO + 1


def test_numpy_is_given_on_request() -> None:
    inputs = processor()(QUESTION, recording(), sampling_rate=RATE, return_tensors="np")
    assert all(isinstance(value, np.ndarray) for value in inputs.values())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"text": QUESTION}, AudioValueError, "1 questions and no recording: give audio"),
        ({"text": [QUESTION] * 2, "audio": [recording()]}, AudioValueError, "2 questions and 1 recordings"),
        (
            {"text": QUESTION, "audio": recording()[:1]},
            ChannelError,
            "binaural (2 channels): give a recording of that kind",
        ),
        ({"text": QUESTION, "audio": noise(0, 4, RATE)}, ChannelError, "binaural"),
        ({"text": QUESTION, "audio": recording(), "sampling_rate": 16_000}, SampleRateError, "16000"),
        ({"text": QUESTION, "audio": noise(0, 2, 11 * RATE)}, AudioValueError, "long_audio='first'"),
        (
            {"text": " ", "audio": recording()},
            TextError,
            "question 1 is empty: ask something, as in 'What do you hear?'",
        ),
        ({"text": None, "audio": recording()}, TextError, "no question was given: ask something"),
        ({"text": 5, "audio": recording()}, TextError, "the question is of type int; expected a text, or a list"),
        ({"text": {"a": 1}, "audio": recording()}, TextError, "the question is of type dict; expected a text"),
        ({"text": ["a", 5], "audio": recording()}, TextError, "question 2 is of type int; expected a text"),
        (
            {"text": [QUESTION, "Is <|audio|> loud?"], "audio": [recording()] * 2},
            TextError,
            "question 2 holds '<|audio|>', which stands for the recording: leave it out",
        ),
        ({"text": "Where?</s>", "audio": recording()}, TextError, "question 1 holds '</s>', which is no word"),
        ({"text": QUESTION, "audio": recording(), "answer": "a</s>"}, TextError, "answer 1 holds '</s>'"),
        (
            {"text": QUESTION, "audio": recording(), "padding": True},
            ConfigError,
            "BatProcessor takes no padding: known",
        ),
        (
            {"text": QUESTION, "audio": recording(), "mono": "duplicate"},
            ConfigError,
            "known are answer, audio, format, long_audio, return_tensors, sampling_rate, text",
        ),
        ({"text": [QUESTION], "audio": recording(), "answer": ["a", "b"]}, TextError, "1 questions and 2 answers"),
        ({"text": QUESTION, "audio": recording(), "answer": ""}, TextError, "answer 1 is empty"),
        ({"text": QUESTION, "audio": recording(), "return_tensors": "tf"}, ConfigError, "expected 'pt' or 'np'"),
    ],
)
def test_what_cannot_be_asked_is_refused(call: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        processor()(**({"sampling_rate": RATE} | call))


def test_a_long_recording_is_heard_by_its_beginning_if_that_is_said() -> None:
    audio = 0.1 * noise(0, 2, 12 * RATE)
    first = processor()(QUESTION, audio, sampling_rate=RATE, long_audio="first")
    expected = processor()(QUESTION, audio[:, : 10 * RATE], sampling_rate=RATE)
    assert torch.equal(first["input_features"], expected["input_features"])
    with pytest.raises(AudioValueError, match=re.escape("1 questions and 2 recordings (or pieces of them)")):
        processor()(QUESTION, audio, sampling_rate=RATE, long_audio="chunks")


AUDIO_PART, TEXT_PART = {"type": "audio", "path": "a.wav"}, {"type": "text", "text": QUESTION}
ASKED = {"role": "user", "content": [AUDIO_PART, TEXT_PART]}


@pytest.mark.parametrize(
    ("messages", "error", "message"),
    [
        ([{"role": "user", "content": QUESTION}], AudioValueError, "has no recording: add {'type': 'audio'"),
        ([{"role": "user", "content": [AUDIO_PART]}], TextError, "expected one audio and one text"),
        ([{"role": "user", "content": [AUDIO_PART, AUDIO_PART, TEXT_PART]}], TextError, "['audio', 'audio', 'text']"),
        ([{"role": "user", "content": [{"type": "image"}, TEXT_PART]}], TextError, "['image', 'text']"),
        (
            [{"role": "user", "content": [{"type": "audio", "url": "u"}, TEXT_PART]}],
            AudioValueError,
            "'path' or 'audio'",
        ),
        ([{"role": "system", "content": "Be brief."}], TextError, "has the roles ['system']"),
        ([], TextError, "has the roles []"),
        ([{"role": "user"}], TextError, "the user's message has no content: a conversation is [{'role': 'user'"),
        ([{"role": "user", "content": None}], TextError, "content is None (of type NoneType): a conversation is"),
        ([{"role": "user", "content": 5}], TextError, "content is 5 (of type int): a conversation is"),
        ([{"role": "user", "content": ["x"]}], TextError, "a part of the user's content is 'x' (of type str)"),
        ([{"role": "user", "content": [AUDIO_PART, {"type": "text"}]}], TextError, "where a text is expected"),
        ([{"role": "user", "content": [AUDIO_PART, {"type": "text", "text": 5}]}], TextError, "'text': 5} (of type"),
        ([{"role": "user", "content": [AUDIO_PART, {"type": "text", "text": ""}]}], TextError, "question 1 is empty"),
        ([ASKED, {"role": "assistant", "content": None}], TextError, "assistant's content is None (of type NoneType)"),
        ([ASKED, {"role": "assistant", "content": [AUDIO_PART]}], TextError, "part of the assistant's content is {"),
        ([ASKED, {"role": "assistant", "content": ""}], TextError, "answer 1 is empty"),
        ("Where?", TextError, "the conversation is 'Where?' (of type str): a conversation is"),
    ],
)
@pytest.mark.parametrize("tokenize", [True, False])
def test_conversations_that_are_no_question_are_refused(
    messages: Any, error: type[Exception], message: str, tokenize: bool
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        processor().apply_chat_template([messages], tokenize=tokenize)


def test_settings_that_do_not_do_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs \{question\} once"):
        processor(prompt_template="Answer:")
    with pytest.raises(ConfigError, match="chat_template has to be None"):
        processor().apply_chat_template([], chat_template="x")
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ConfigError, match="eos_token"):
        BatProcessor(SpatialASTFeatureExtractor(), tokenizer)
    for nothing in ([], None, "Where?"):
        with pytest.raises(TextError, match="the conversation is"):
            processor().apply_chat_template(nothing)
    turn = {"role": "user", "content": [{"type": "audio", "audio": recording()}, TEXT_PART]}
    with pytest.raises(TextError, match="some conversations have an answer"):
        processor().apply_chat_template([[turn], [turn, {"role": "assistant", "content": "a"}]], tokenize=True)
