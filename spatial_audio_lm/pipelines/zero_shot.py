"""`transformers.pipeline("zero-shot-spatial-audio-classification")`: sentences in, the best-fitting one out.

Call and answer are those of transformers' own zero-shot-audio-classification, for audio that has channels.
"""

from typing import Any

from spatial_audio_lm.errors import TextError
from spatial_audio_lm.models.elsa.processing_elsa import ElsaProcessor
from spatial_audio_lm.pipelines.answers import QueryResult
from spatial_audio_lm.pipelines.querying import SpatialQuery, checked_sentences
from spatial_audio_lm.pipelines.recording_pipeline import RecordingPipeline
from spatial_audio_lm.pipelines.recordings import Recording, given_recording


class ZeroShotSpatialAudioClassificationPipeline(RecordingPipeline):
    """Says which of several sentences fits a recording, and, if asked for details, from where its sound comes.

    Recordings longer than ten seconds are heard in windows; the answer is that of the best-fitting one. A recording at
    another rate than the model's is resampled, which is logged once a rate.

    Example:
        >>> import spatial_audio_lm
        >>> from transformers import pipeline
        >>> ask = pipeline("zero-shot-spatial-audio-classification")  # the packaged model
        >>> ask("clip.wav", candidate_labels=["a dog barking from the left", "rain from behind"])
        [{'score': 0.93, 'label': 'a dog barking from the left'}, {'score': 0.07, 'label': 'rain from behind'}]
    """

    _load_processor = False
    _load_feature_extractor = True
    _load_tokenizer = True
    _model_type = "elsa"
    _preprocess_options = ("candidate_labels", "hypothesis_template", "format")
    _postprocess_options = ("detailed",)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._query = SpatialQuery(self.model, ElsaProcessor(self.feature_extractor, self.tokenizer))

    def __call__(self, audios: Recording | list[Recording] | tuple[Recording, ...], **kwargs: Any) -> Any:
        """Scores sentences for one recording or many.

        Args:
            audios: A path, a dictionary with `array` `(channels, time)`, `sampling_rate` and perhaps `format`, a
                `SpatialAudio`, or a list of those (or a data set or generator that yields them). A list is looked
                through before the first of it is heard.
            **kwargs: `candidate_labels`: the sentences. `hypothesis_template`: a frame for them, "{}" if not given:
                labels are sentences. `format`: of files whose channels do not tell it ("foa_fuma", ...). `detailed`:
                answer with everything that is known, as `SpatialQuery.query(...).to_dict()`.

        Returns:
            For one recording a list of `{"score", "label"}`, the best first, where the scores of all labels add up
            to 1; for many a list of such lists. With `detailed` a dictionary each.

        Raises:
            SpatialAudioError: Audio or sentences that cannot be used, with the way out.
        """
        return super().__call__(audios, **kwargs)

    def preprocess(
        self,
        audio: Recording,
        candidate_labels: list[str] | str | None = None,
        hypothesis_template: str = "{}",
        format: str | None = None,
    ) -> dict[str, Any]:
        """Checks what was given; the recording itself is read window by window when the model hears it."""
        if candidate_labels is None:
            raise TextError("no candidate_labels: give the sentences, candidate_labels=['a dog barking from the left']")
        labels = checked_sentences(candidate_labels)
        if "{}" not in hypothesis_template:
            raise TextError(f"hypothesis_template is {hypothesis_template!r}; it needs a {{}} where the label goes")
        return {
            "audio": given_recording(audio),
            "labels": labels,
            "template": hypothesis_template,
            "format": format,
        }

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        # With batch_size > 1 every value is a list, one entry a recording; the answer is taken apart in the same way.
        if isinstance(model_inputs["template"], str):
            return {name: value[0] for name, value in self._forward(_as_batch(model_inputs)).items()}
        results = []
        for audio, labels, template, format in zip(*(model_inputs[name] for name in _KEYS), strict=True):
            result = self._query.query(audio, [template.replace("{}", label) for label in labels], format)
            self._tell_resampling(result.resampled_from, self._query.sample_rate)
            results.append(result)
        return {"result": results, "labels": model_inputs["labels"], "template": model_inputs["template"]}

    def postprocess(self, model_outputs: dict[str, Any], detailed: bool = False) -> Any:
        """The answer in transformers' form, or in full."""
        result: QueryResult = model_outputs["result"]
        if detailed:
            return result.to_dict()
        labels = {model_outputs["template"].replace("{}", label): label for label in model_outputs["labels"]}
        # A single label has all the weight, as the softmax over one value says.
        return [
            {"score": 1.0 if match.score is None else match.score, "label": labels[match.text]}
            for match in result.results
        ]


_KEYS = ("audio", "labels", "template", "format")


def _as_batch(model_inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: [model_inputs[name]] for name in _KEYS}
