"""Recordings and questions to the inputs of BAT, in one call; and the answers back to words."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import Tensor
from transformers import AddedToken, BatchFeature, PreTrainedTokenizerBase, ProcessorMixin, SequenceFeatureExtractor

from spatial_audio_lm.errors import AudioValueError, CheckpointError, ConfigError, TextError
from spatial_audio_lm.features.audio_inputs import AudioInput
from spatial_audio_lm.layers.model_config import unknown_settings
from spatial_audio_lm.models.bat.audio_tokens_bat import AUDIO_INPUTS, named_audio_inputs
from spatial_audio_lm.models.bat.conversation_bat import read_conversations
from spatial_audio_lm.models.bat.padding_bat import padded_inputs
from spatial_audio_lm.models.bat.texts_bat import checked_texts

AUDIO_TOKEN = "<|audio|>"
# The published prompt; nothing stands between its last colon and the answer.
PROMPT_TEMPLATE = (
    "Based on the audio you've heard, refer to the instruction and provide a response.\n\n"
    "### Instruction:\n{question}\n\n### Response:"
)
_QUESTION = "{question}"


class BatProcessor(ProcessorMixin):
    """A feature extractor and a tokenizer.

    A sequence is, as published, the placeholders of the recording, then what the tokenizer begins a text with (`<s>`),
    prompt, answer, and the token that ends a text. Recordings keep their channels in every form that they are given in.

    Args:
        feature_extractor: of the encoder.
        tokenizer: of the language model; needs a token that ends a text. It gets `audio_token` if it does not have it:
            the number of that token is the model's `audio_token_id`.
        audio_token: stands for an embedding of the recording.
        num_query_tokens: embeddings of a recording.
        prompt_template: the prompt, with {question} where the question goes.

    Raises:
        ConfigError: a tokenizer or a template that does not do.
    """

    def __init__(
        self,
        feature_extractor: SequenceFeatureExtractor,
        tokenizer: PreTrainedTokenizerBase,
        audio_token: str = AUDIO_TOKEN,
        num_query_tokens: int = 64,
        prompt_template: str = PROMPT_TEMPLATE,
    ):
        if tokenizer.eos_token_id is None:
            raise ConfigError("the tokenizer has no token that ends a text (eos_token): an answer would have no end")
        if prompt_template.count(_QUESTION) != 1:
            raise ConfigError(f"prompt_template is {prompt_template!r}; it needs {_QUESTION} once")
        if audio_token not in tokenizer.get_vocab():
            tokenizer.add_tokens([AddedToken(audio_token, special=True, normalized=False)], special_tokens=True)
        self.audio_token = audio_token
        self.audio_token_id = tokenizer.convert_tokens_to_ids(audio_token)
        self.num_query_tokens = num_query_tokens
        self.prompt_template = prompt_template
        super().__init__(feature_extractor, tokenizer)

    @classmethod
    def get_processor_dict(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> tuple[dict[str, Any], Any]:
        """As in transformers, but for another model's processor.

        Raises:
            CheckpointError: which one; its parts would make a BatProcessor with settings that nobody chose.
        """
        settings, rest = super().get_processor_dict(pretrained_model_name_or_path, **kwargs)
        found = settings.get("processor_class", cls.__name__)
        if found != cls.__name__:
            raise CheckpointError(
                f"{pretrained_model_name_or_path} holds a {found}; expected a {cls.__name__}: use {found}, or the "
                "folder of a BAT"
            )
        return settings, rest

    @property
    def model_input_names(self) -> list[str]:
        """Everything that a call may give."""
        return ["input_ids", "attention_mask", *AUDIO_INPUTS]

    def __call__(
        self,
        text: str | list[str] | None = None,
        audio: AudioInput | list[AudioInput] | None = None,
        answer: str | list[str] | None = None,
        sampling_rate: int | None = None,
        format: str | None = None,
        return_tensors: str = "pt",
        **audio_options: Any,
    ) -> BatchFeature:
        """Inputs for `BatForConditionalGeneration`.

        Args:
            text: one question or many.
            audio: for each question its recording, in any form that the feature extractor takes.
            answer: for each question its answer, to be learned; None: to be generated.
            sampling_rate: rate of bare arrays in Hz.
            format: format of bare arrays and files, where channels alone do not tell it.
            return_tensors: "pt" or "np".
            audio_options: of the feature extractor (`long_audio="first"`, ...).

        Returns:
            `input_ids` and `attention_mask` `(batch, tokens)` with padding before the prompts and behind the answers,
            so that all prompts end together; with answers also `labels`, -100 but for the answer and the token that
            ends it; and the recordings' features.

        Raises:
            TextError: no question, an empty one, one with a special token of the tokenizer (the placeholder of the
                recording among them), or not as many answers as questions.
            AudioValueError: a question without a recording, or not as many recordings as questions.
            ConfigError: an unknown `return_tensors`, or an option that the feature extractor does not have.
            SpatialAudioError: recordings that the encoder cannot hear; the message names the way out.
        """
        if return_tensors not in ("pt", "np"):
            raise ConfigError(f"return_tensors is {return_tensors!r}; expected 'pt' or 'np'")
        self._require_options(audio_options)
        questions = self._texts(text, "question")
        if audio is None:
            raise AudioValueError(
                f"{len(questions)} questions and no recording: give audio (tokenize_questions makes the tokens alone)"
            )
        inputs = dict(self.tokenize_questions(questions, answer))
        heard = self.feature_extractor(audio, sampling_rate, format, **audio_options)
        heard = named_audio_inputs(heard)
        inputs |= heard
        rows = {len(values) for values in heard.values()}
        if rows != {len(questions)}:
            raise AudioValueError(
                f"{len(questions)} questions and {max(rows)} recordings (or pieces of them): give one a question"
            )
        return BatchFeature(inputs if return_tensors == "pt" else {n: value.numpy() for n, value in inputs.items()})

    def tokenize_questions(
        self, text: str | list[str], answer: str | list[str] | None = None, with_audio: bool = True
    ) -> dict[str, Tensor]:
        """Tokens alone: for recordings that were encoded before, or for the control that hears nothing.

        Args:
            text: one question or many.
            answer: their answers, to be learned.
            with_audio: leave places for a recording before each question.

        Returns:
            `input_ids`, `attention_mask`, and with answers `labels`.

        Raises:
            TextError: no question, an empty one, one with a special token, or not as many answers as questions.
        """
        questions = self._texts(text, "question")
        answers = [None] * len(questions) if answer is None else self._texts(answer, "answer")
        if len(answers) != len(questions):
            raise TextError(f"{len(questions)} questions and {len(answers)} answers: give one answer a question")
        places = [self.audio_token_id] * (self.num_query_tokens if with_audio else 0)
        pairs = [self._prompt_and_answer(*pair) for pair in zip(questions, answers, strict=True)]
        pad = self.tokenizer.pad_token_id
        inputs = padded_inputs(
            [(places + prompt, ids) for prompt, ids in pairs], self.tokenizer.eos_token_id if pad is None else pad
        )
        if answer is None:
            del inputs["labels"]
        return inputs

    def prompt(self, question: str) -> str:
        """What the language model reads before it answers."""
        return self.prompt_template.replace(_QUESTION, question)

    def _prompt_and_answer(self, question: str, answer: str | None) -> tuple[list[int], list[int]]:
        prompt = self._text_ids(self.prompt(question))
        if answer is None:
            return prompt, []
        whole = self._text_ids(self.prompt(question) + answer)
        if whole[: len(prompt)] != prompt:
            # A tokenizer that joins the prompt's end with the answer's begin: the published code then counts the labels
            # of another prompt than the model is asked with. Here prompts in training are those of generation.
            whole = prompt + self.tokenizer(answer, add_special_tokens=False)["input_ids"]
        return prompt, [*whole[len(prompt) :], self.tokenizer.eos_token_id]

    def _require_options(self, given: Mapping[str, Any]) -> None:
        taken = set(signature(type(self).__call__).parameters) - {"self", "audio_options"}
        own = set(signature(self.feature_extractor.__call__).parameters)
        if unknown := [name for name in given if name not in own]:
            raise ConfigError(f"{type(self).__name__} takes no {unknown_settings(unknown, taken | own)}")

    def _texts(self, given: Any, kind: str) -> list[str]:
        return checked_texts(given, kind, self.tokenizer, self.audio_token)

    def _text_ids(self, text: str) -> list[int]:
        """A text with what the tokenizer begins one with, and without an end."""
        ids = self.tokenizer(text)["input_ids"]
        return ids[:-1] if ids[-1] == self.tokenizer.eos_token_id else ids

    def decode_answers(self, generated: Tensor, input_ids: Tensor | None = None) -> list[str]:
        """The answers in words.

        Args:
            generated: of `generate`, `(batch, tokens)`.
            input_ids: the prompts that `generated` begins with; None: it holds the answers alone.
        """
        start = 0 if input_ids is None else input_ids.shape[1]
        return [text.strip() for text in self.tokenizer.batch_decode(generated[:, start:], skip_special_tokens=True)]

    def apply_chat_template(
        self,
        conversation: list[Mapping[str, Any]] | list[list[Mapping[str, Any]]],
        chat_template: str | None = None,
        tokenize: bool = False,
        return_dict: bool = True,
        **kwargs: Any,
    ) -> Any:
        """A conversation in transformers' form, or many, as BAT's inputs.

        Args:
            conversation: a list of messages (see `read_conversation`), or a list of such lists.
            chat_template: None: BAT has its prompt.
            tokenize: give the inputs instead of the prompts in words.
            return_dict: False: `input_ids` alone.
            kwargs: of a call (`sampling_rate`, `format`, `return_tensors`, ...).

        Returns:
            With `tokenize` what a call gives; else the prompts, placeholders and the text's beginning included.

        Raises:
            TextError: another kind of conversation.
            AudioValueError: a question without its recording.
            ConfigError: a chat template.
        """
        if chat_template is not None:
            raise ConfigError("BAT asks by prompt_template; chat_template has to be None")
        kwargs.pop("add_generation_prompt", None)  # the prompt ends where the answer begins
        asked, single = read_conversations(conversation)
        answers = [a.answer for a in asked if a.answer is not None]
        if not tokenize:
            self._texts([a.text for a in asked], "question")
            if answers:
                self._texts(answers, "answer")
            begin = self.audio_token * self.num_query_tokens + (self.tokenizer.bos_token or "")
            prompts = [
                begin + self.prompt(a.text) + (a.answer + self.tokenizer.eos_token if a.answer else "") for a in asked
            ]
            return prompts[0] if single else prompts
        if answers and len(answers) < len(asked):
            raise TextError("some conversations have an answer and some have none: give them in two calls")
        inputs = self([a.text for a in asked], [a.audio for a in asked], answers or None, **kwargs)
        return inputs if return_dict else inputs["input_ids"]
