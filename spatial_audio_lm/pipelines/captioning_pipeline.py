"""`transformers.pipeline("spatial-audio-captioning")`: a recording in, what sounds and where in words out."""

from typing import Any

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.pipelines.captioning import RecordingCaptioner
from spatial_audio_lm.pipelines.captioning_answers import CaptionedRecording
from spatial_audio_lm.pipelines.recording_pipeline import RecordingPipeline
from spatial_audio_lm.pipelines.recordings import Recording, given_recording


class SpatialAudioCaptioningPipeline(RecordingPipeline):
    """Says what sounds in a recording, and where.

    A recording at another rate than the model's is resampled, which is logged once a rate and said in the answer. One
    longer than the model hears at once is heard in windows; see `RecordingCaptioner.caption`.

    Example:
        >>> import spatial_audio_lm
        >>> from transformers import pipeline
        >>> captioner = pipeline("spatial-audio-captioning")
        >>> captioner("clip.wav")["caption"]
        'a dog barking far away on the left in a small room'
    """

    _load_processor = True
    _load_feature_extractor = False
    _load_tokenizer = False
    _model_type = "spatial_captioner"
    _preprocess_options = ("format",)
    _forward_options = ("mono", "max_new_tokens", "num_beams")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.processor is None:
            raise ConfigError(
                "no processor: give processor=SpatialCaptionerProcessor(...) beside the model, or its folder as model"
            )
        self._captioner = RecordingCaptioner(self.model, self.processor)
        self.tokenizer = None  # it pads texts, which transformers' collation of recordings must not do

    def __call__(self, audios: Recording | list[Recording] | tuple[Recording, ...], **kwargs: Any) -> Any:
        """Captions one recording or many.

        Args:
            audios: A path, a dictionary with `array` `(channels, time)`, `sampling_rate` and perhaps `format`, a
                `SpatialAudio`, or a list of those (or a data set or generator that yields them). A list is looked
                through before the first of it is heard.
            **kwargs: `format`: of files whose channels do not tell it ("foa_fuma", ...). `mono`: "duplicate" lets an
                ear of several channels hear one in all of them. `max_new_tokens`, `num_beams`: see
                `RecordingCaptioner.caption`.

        Returns:
            A dictionary: `caption`, `confidence`, what the words say (`sounds`, `direction`, `elevation`, `distance`,
            `size`, `reverberation`, each None where they do not say it), and the other fields of
            `CaptionedRecording.to_dict`; for many recordings a list of those.

        Raises:
            SpatialAudioError: Audio that cannot be used, with the way out.
        """
        return super().__call__(audios, **kwargs)

    def preprocess(self, audio: Recording, format: str | None = None) -> dict[str, Any]:
        """Checks what was given; the recording itself is read window by window when the model hears it."""
        return {"audio": given_recording(audio), "format": format}

    def _forward(self, model_inputs: dict[str, Any], **options: Any) -> dict[str, Any]:
        # With batch_size > 1 every value is a list, one entry a recording; the answer is taken apart in the same way.
        if not isinstance(model_inputs["format"], list):
            batch = self._forward({name: [value] for name, value in model_inputs.items()}, **options)
            return {name: value[0] for name, value in batch.items()}
        captioned = []
        for audio, format in zip(model_inputs["audio"], model_inputs["format"], strict=True):
            captioned.append(self._captioner.caption(audio, format, **options))
            self._tell_resampling(captioned[-1].resampled_from, self._captioner.sample_rate)
        return {"captioned": captioned}

    def postprocess(self, model_outputs: dict[str, Any]) -> dict[str, Any]:
        """The caption and what it says as plain data."""
        captioned: CaptionedRecording = model_outputs["captioned"]
        return captioned.to_dict()

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """Writes model and processor into one folder."""
        super().save_pretrained(save_directory, **kwargs)
        self._captioner.processor.save_pretrained(save_directory)
