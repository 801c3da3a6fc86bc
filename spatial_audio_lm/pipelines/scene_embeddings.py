"""Frozen scene embeddings: one vector a recording, from any encoder of the package or from a plain log-mel spectrogram.

    >>> encoder = SceneEncoder.from_pretrained(folder)
    >>> encoder.embed([SpatialAudio.load("clip.wav")]).vectors.shape
    >>> encoder.embed_parts(encoder.parts_of("day.wav")).shape

Recordings are resampled to the encoder's rate, and how many were is said. Nothing is done to channels unless asked for.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from spatial_audio_lm.errors import ChannelError, CheckpointError, ConfigError, DataError
from spatial_audio_lm.features.log_mel import cached_mel_filters, mel_power
from spatial_audio_lm.models.audio_mae.feature_extraction_audio_mae import AudioMAEFeatureExtractor
from spatial_audio_lm.models.audio_mae.modeling_audio_mae import AudioMAEModel
from spatial_audio_lm.models.checkpoints import checkpoint_folder
from spatial_audio_lm.models.dspast.feature_extraction_dspast import DSpASTFeatureExtractor
from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTModel
from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel
from spatial_audio_lm.models.elsa.processing_elsa import ElsaProcessor
from spatial_audio_lm.models.gram import long_recordings_gram
from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor
from spatial_audio_lm.models.gram.modeling_gram import GramModel
from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import SpatialASTFeatureExtractor
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTModel
from spatial_audio_lm.models.wavjepa import long_recordings_wavjepa
from spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa import WavJEPAFeatureExtractor
from spatial_audio_lm.models.wavjepa.modeling_wavjepa import WavJEPAModel
from spatial_audio_lm.pipelines.hearing import channels_heard, extractor_options
from spatial_audio_lm.pipelines.pretrained import load_whole, model_type_of, require_trained
from spatial_audio_lm.signal.audio_parts import AudioParts
from spatial_audio_lm.signal.mono_choice import require_mono_choice
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.signal.stft import stft

# Class of the model, class of what makes its inputs, and its poolings, the usual one first.
ENCODERS: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
    "gram": (GramModel, GramFeatureExtractor, ("raw", "mean", "cls")),
    "wavjepa": (WavJEPAModel, WavJEPAFeatureExtractor, ("mean", "channels")),
    "audio_mae": (AudioMAEModel, AudioMAEFeatureExtractor, ("mean", "cls")),
    "spatial_ast": (SpatialASTModel, SpatialASTFeatureExtractor, ("cls", "mean")),
    "dspast": (DSpASTModel, DSpASTFeatureExtractor, ("cls", "mean")),
    "elsa": (ElsaModel, ElsaProcessor, ("joint",)),
}
# Kinds that hear clips of any length and whose extractor follows from the configuration, and how they hear long ones.
_FROM_SETTINGS: dict[str, Any] = {
    "gram": long_recordings_gram.embedded_parts,
    "wavjepa": long_recordings_wavjepa.embedded_parts,
}
_ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class SceneEmbeddings:
    """Vectors of recordings.

    Attributes:
        vectors: `(recordings, dim)`, float32.
        resampled: how many recordings had another rate than the encoder.
    """

    vectors: Tensor
    resampled: int


class Embedder(Protocol):
    """What gives scene embeddings."""

    def embed(self, recordings: Sequence[SpatialAudio]) -> SceneEmbeddings: ...


class SceneEncoder:
    """An encoder of the package, frozen.

    Poolings: GRAM's "raw", "mean" and "cls" are those of `GramOutput` (the paper's appendix D: "raw" for what sounds,
    "cls" for where). WavJEPA: "mean" is that of all frames, "channels" are those of each channel's side by side.
    Audio-MAE: "mean" is its `pooler_output`, "cls" the class token. SpatialAST and DSpAST: "cls" are all class tokens
    side by side, "mean" is that of the patches. ELSA's "joint" is the vector it compares with texts.
    Recordings longer than Audio-MAE, SpatialAST or DSpAST hear at once are heard in chunks, whose vectors are averaged;
    ELSA hears of a longer one the part that its extractor crops (`max_length_s`, ten seconds at full size).
    `embed` hears batches of recordings, `embed_parts` one of any length, in memory that does not grow with it.

    Args:
        model: of `ENCODERS`.
        extractor: feature extractor of the model.
        pooling: see above; None: the first of `ENCODERS`.
        mono: what to do with one channel where more are heard: "refuse", or "duplicate" it to all of them. ELSA hears
            mono either way.

    Raises:
        CheckpointError: another kind of model, or a front end that is not the model's.
        ConfigError: a pooling or a `mono` that there is not.
    """

    def __init__(self, model: Any, extractor: Any, pooling: str | None = None, mono: str = "refuse"):
        self.kind = model.config.model_type
        poolings = _entry(self.kind)[2]
        _require_front_end(model.config, extractor)
        if pooling is not None and pooling not in poolings:
            raise ConfigError(f"pooling is {pooling!r}; {self.kind} has {', '.join(poolings)}")
        require_mono_choice(mono)
        self.model, self.extractor = model.eval().requires_grad_(False), extractor
        self.pooling, self.mono = pooling or poolings[0], mono
        self.sampling_rate: int = extractor.sampling_rate

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | Path, pooling: str | None = None, mono: str = "refuse", untrained: int | None = None
    ) -> "SceneEncoder":
        """A packaged name, or a folder written by `save_pretrained`.

        Args:
            name_or_folder: of the model and its feature extractor.
            pooling: see above.
            mono: see above.
            untrained: take new weights, drawn by this seed, instead of those in the folder: what an embedding is
                worth that has learned nothing.

        Raises:
            CheckpointError: no such model, one of another kind, damaged files, or layers that were never trained
                (unless `untrained`).
        """
        folder = checkpoint_folder(name_or_folder)
        if untrained is None:
            require_trained(folder)
        model_class, extractor_class, _ = _entry(model_type_of(folder))
        model, extractor = load_whole(folder, model_class, extractor_class)
        if untrained is not None:
            model = _drawn(model_class, copy.deepcopy(model.config), untrained)
        return cls(model, getattr(extractor, "feature_extractor", extractor), pooling, mono)

    @classmethod
    def new(cls, kind: str, settings: dict[str, Any], seed: int, **options: Any) -> "SceneEncoder":
        """An encoder that has learned nothing.

        Args:
            kind: "gram" or "wavjepa", whose feature extractors follow from their configurations.
            settings: of the configuration, where they differ from the defaults.
            seed: of the weights.
            options: `pooling` and `mono`.

        Raises:
            ConfigError: another kind.
        """
        if kind not in _FROM_SETTINGS:
            raise ConfigError(
                f"a new encoder is to be a {kind!r}; only {' and '.join(_FROM_SETTINGS)} are made of settings alone"
            )
        model_class, extractor_class, _ = _entry(kind)
        config = model_class.config_class(**settings)
        return cls(_drawn(model_class, config, seed), extractor_class.for_model(config), **options)

    @torch.inference_mode()
    def embed(self, recordings: Sequence[SpatialAudio]) -> SceneEmbeddings:
        """Vectors of one batch of recordings of any lengths.

        Raises:
            ChannelError: a format that the encoder does not hear.
            AudioValueError: a recording that is too short for it.
        """
        heard = [
            channels_heard(recording.resample(self.sampling_rate), self.kind, self.extractor, self.mono)
            for recording in recordings
        ]
        resampled = sum(recording.sample_rate != self.sampling_rate for recording in recordings)
        options = extractor_options(self.kind, self.mono)
        if self.kind not in (*_FROM_SETTINGS, "elsa"):
            options = {"long_audio": "chunks"}
        features = self.extractor(heard, **options)
        index = features.pop("recording_index", None)
        features.pop("start_s", None)
        if index is None:
            vectors = self._pooled(features).float()
        else:  # a long recording is many rows
            rows, counts = self._rows(features), torch.bincount(index, minlength=len(heard))[:, None]
            vectors = torch.zeros(len(heard), rows.shape[1]).index_add(0, index, rows) / counts
        return SceneEmbeddings(vectors, resampled)

    def parts_of(self, recording: SpatialAudio | str | PathLike[str], format: str | None = None) -> AudioParts:
        """A recording as `embed_parts` takes it: resampled, and with the channels that are heard.

        Args:
            recording: `SpatialAudio`, or the path of a file, which will not be in memory as a whole.
            format: of a file, where its channels do not tell it.
        """

        def heard(part: SpatialAudio) -> SpatialAudio:
            return channels_heard(part, self.kind, self.extractor, self.mono)

        return AudioParts(recording, self.sampling_rate, format, heard)

    @torch.inference_mode()
    def embed_parts(self, recording: AudioParts) -> Tensor:
        """The vector `(1, dim)` of one recording of any length, some windows of which are in memory at a time.

        It is what `embed` gives of the recording, but for rounding. ELSA, which hears one crop out of the whole, has it
        in memory.

        Args:
            recording: of `parts_of`.

        Raises:
            SpatialAudioError: as `embed`, or of a file that cannot be used.
        """
        total, count = torch.zeros((), dtype=torch.float64), 0
        for vector, weight in self._heard(recording):
            total, count = total + weight * vector.double(), count + weight
        return (total / count).float()[None]

    def _heard(self, recording: AudioParts) -> Iterator[tuple[Tensor, int]]:
        """Vectors `(dim,)` of the parts of a recording, and how much each counts."""
        if self.kind in _FROM_SETTINGS:
            embedded = _FROM_SETTINGS[self.kind](self.model, self.extractor, recording, _ROWS_AT_ONCE, self.mono)
            for _, output in embedded:
                yield output[f"scene_{self.pooling}"][0], int(output.frame_mask.sum())
        elif self.kind == "elsa":
            parts = list(recording.parts(self.sampling_rate))
            whole = replace(parts[-1], waveform=torch.cat([part.waveform for part in parts], dim=1))
            yield self.embed([whole]).vectors[0], 1
        else:
            chunk, longest = self.extractor.chunk_samples, self.extractor.max_samples
            # Of many chunks each, but for the last part, which is as long as a recording that is heard in chunks.
            for part in recording.parts(_ROWS_AT_ONCE * chunk, spare=longest):
                features = self.extractor(part, long_audio="chunks")
                del features["recording_index"], features["start_s"]
                rows = self._rows(features)
                yield rows.mean(0), len(rows)

    def _rows(self, features: Any) -> Tensor:
        """Vectors of many rows, some at a time."""
        parts = zip(*(value.split(_ROWS_AT_ONCE) for value in features.values()), strict=True)
        return torch.cat([self._pooled(dict(zip(features, part, strict=True))).float() for part in parts])

    def _pooled(self, features: Any) -> Tensor:
        if self.kind == "elsa":
            return self.model.get_audio_features(**features).pooler_output
        output = self.model(**features)
        if self.kind in _FROM_SETTINGS:
            return output[f"scene_{self.pooling}"]
        if self.kind == "audio_mae":
            return output.pooler_output if self.pooling == "mean" else output.last_hidden_state[:, 0]
        tokens, count = output.last_hidden_state, self.model.config.num_cls_tokens
        return tokens[:, :count].flatten(1) if self.pooling == "cls" else tokens[:, count:].mean(1)


class LogMelEmbedder:
    """The mean over time of a log-mel spectrogram, of every channel side by side: the baseline.

    HEAR's naive baseline (hearbaseline/naive.py): 44.1 kHz, 4096 samples of a Hann window every 25 ms, 256 mel bands,
    log(power + 1e-4). HEAR then takes 4096 fixed random mixtures of the 256 numbers; they hold nothing more, and are
    left out.

    Args:
        sampling_rate: Hz.
        n_fft: samples of a window.
        num_mels: bands.
    """

    kind, pooling, hop_s, log_floor = "log-mel", "mean", 0.025, 1e-4

    def __init__(self, sampling_rate: int = 44_100, n_fft: int = 4096, num_mels: int = 256):
        self.sampling_rate, self.n_fft, self.num_mels = sampling_rate, n_fft, num_mels

    @torch.inference_mode()
    def embed(self, recordings: Sequence[SpatialAudio]) -> SceneEmbeddings:
        """Vectors `(recordings, channels * num_mels)` of recordings of any lengths and one format.

        Raises:
            AudioValueError: a recording shorter than half a window.
        """
        rate = self.sampling_rate
        filters = cached_mel_filters(self.num_mels, self.n_fft, rate, 0.0, rate / 2)
        rows = []
        for recording in recordings:
            spectrum = stft(recording.resample(rate).waveform, self.n_fft, round(self.hop_s * rate))
            rows.append(torch.log(mel_power(spectrum, filters) + self.log_floor).mean(1).flatten())
        return SceneEmbeddings(torch.stack(rows), sum(recording.sample_rate != rate for recording in recordings))


def embed_all(encoder: Embedder, recordings: Iterable[SpatialAudio], batch_size: int) -> SceneEmbeddings:
    """Vectors of any number of recordings, of which one batch at a time is in memory.

    Raises:
        ChannelError: recordings of different formats, or of one that the encoder does not hear.
        DataError: no recording.
    """
    parts = [encoder.embed(batch) for batch in _batches(recordings, batch_size)]
    if not parts:
        raise DataError("there is no recording to embed")
    return SceneEmbeddings(torch.cat([part.vectors for part in parts]), sum(part.resampled for part in parts))


def _batches(recordings: Iterable[SpatialAudio], size: int) -> Iterator[list[SpatialAudio]]:
    waiting: list[SpatialAudio] = []
    format = None
    for recording in recordings:
        format = format or recording.format
        if recording.format != format:
            raise ChannelError(f"recordings are {format} and {recording.format}; expected one format in a data set")
        waiting.append(recording)
        if len(waiting) == size:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _entry(kind: str | None) -> tuple[Any, Any, tuple[str, ...]]:
    if kind not in ENCODERS:
        raise CheckpointError(f"a model of type {kind!r}; scene embeddings come from one of {', '.join(ENCODERS)}")
    return ENCODERS[kind]


def _require_front_end(config: Any, extractor: Any) -> None:
    """Refuses one whose features would have the right shape, perhaps, and another meaning.

    GRAM's and WavJEPA's follow from the configuration. Those of the others say no more than sizes, which their models
    check in what they are given.
    """
    kind, advice = config.model_type, "save the one that the model was trained with beside it"
    wanted: dict[str, Any] = {}
    if kind == "gram":
        names = ("audio_format", "channel_convention", "feature_size", "sampling_rate", "hop_length")
        made = GramFeatureExtractor.for_model(config)
        wanted, advice = {name: getattr(made, name) for name in names}, f"{advice} (GramFeatureExtractor.for_model)"
    elif kind == "wavjepa":
        try:
            extractor.require_model(config)
        except ConfigError as error:
            raise CheckpointError(str(error)) from error
    found = {name: getattr(extractor, name) for name in wanted}
    if found != wanted:
        raise CheckpointError(
            f"the feature extractor has {', '.join(wanted)} {list(found.values())}, the model "
            f"{list(wanted.values())}: {advice}"
        )


def _drawn(model_class: Any, config: Any, seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config)
