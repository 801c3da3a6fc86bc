"""`transformers.pipeline("spatial-audio-question-answering")`: recording and question in, the answer in words out."""

from typing import Any

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.pipelines.answering import QuestionAnswerer, checked_questions
from spatial_audio_lm.pipelines.recording_pipeline import RecordingPipeline
from spatial_audio_lm.pipelines.recordings import Recording, given_recording


class SpatialAudioQuestionAnsweringPipeline(RecordingPipeline):
    """Answers questions about what sounds in a recording, and where.

    A recording at another rate than the model's is resampled, which is logged once a rate and said in the answer. One
    longer than the model hears at once is heard in windows; see `QuestionAnswerer.ask`.

    Example:
        >>> import spatial_audio_lm
        >>> from transformers import pipeline
        >>> ask = pipeline("spatial-audio-question-answering", model=folder)
        >>> ask("clip.wav", question="Where is the sound, and how far away?")["answer"]
        'left, front, above; 1.5m'
    """

    _load_processor = True
    _load_feature_extractor = False
    _load_tokenizer = False
    _model_type = "bat"
    _preprocess_options = ("question", "format")
    _forward_options = ("mono", "max_new_tokens", "num_beams")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.processor is None:
            raise ConfigError("no processor: give processor=BatProcessor(...) beside the model, or its folder as model")
        self._ask = QuestionAnswerer(self.model, self.processor)
        self.tokenizer = None  # it pads prompts on the left, which transformers' collation of recordings must not do

    def __call__(self, audios: Recording | list[Recording] | tuple[Recording, ...], **kwargs: Any) -> Any:
        """Answers one question or many about one recording or many.

        Args:
            audios: A path, a dictionary with `array` `(channels, time)`, `sampling_rate` and perhaps `format`, a
                `SpatialAudio`, or a list of those (or a data set or generator that yields them). A list is looked
                through before the first of it is heard.
            **kwargs: `question`: one question, or a list, for which each recording is heard once. `format`: of files
                whose channels do not tell it ("foa_fuma", ...). `mono`: "duplicate" lets an ear of several channels
                hear one in all of them. `max_new_tokens`, `num_beams`: see `QuestionAnswerer.ask`.

        Returns:
            For one question a dictionary: `answer` (the words, or "yes" or "no"), `confidence`, and what the words
            say: `yes`, `left_right`, `front_behind`, `above_below`, `distance_m`, `sounds`, each None where they do
            not say it; and the other fields of `AnsweredQuestion.to_dict`. For a list of questions a list of those;
            for many recordings a list of what each of them gives.

        Raises:
            SpatialAudioError: Audio or questions that cannot be used, with the way out.
        """
        return super().__call__(audios, **kwargs)

    def preprocess(
        self, audio: Recording, question: str | list[str] | None = None, format: str | None = None
    ) -> dict[str, Any]:
        """Checks what was given; the recording itself is read window by window when the model hears it."""
        checked_questions(question)
        return {"audio": given_recording(audio), "question": question, "format": format}

    def _forward(self, model_inputs: dict[str, Any], **options: Any) -> dict[str, Any]:
        # With batch_size > 1 every value is a list, one entry a recording; the answer is taken apart in the same way.
        if not isinstance(model_inputs["format"], list):
            batch = self._forward({name: [value] for name, value in model_inputs.items()}, **options)
            return {name: value[0] for name, value in batch.items()}
        answers = []
        for audio, question, format in zip(*(model_inputs[name] for name in _KEYS), strict=True):
            answers.append(self._ask.ask(audio, question, format, **options))
            self._tell_resampling(answers[-1][0].resampled_from, self._ask.sample_rate)
        return {"answers": answers, "single": [isinstance(question, str) for question in model_inputs["question"]]}

    def postprocess(self, model_outputs: dict[str, Any]) -> Any:
        """The answers as plain data."""
        fields = [answer.to_dict() for answer in model_outputs["answers"]]
        return fields[0] if model_outputs["single"] else fields

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """Writes model and processor into one folder."""
        super().save_pretrained(save_directory, **kwargs)
        self._ask.processor.save_pretrained(save_directory)


_KEYS = ("audio", "question", "format")
