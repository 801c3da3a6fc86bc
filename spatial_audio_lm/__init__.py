"""A recording that knows where its sounds are goes in; words about what is where come out.

    >>> import spatial_audio_lm
    >>> from transformers import pipeline
    >>> ask = pipeline("zero-shot-spatial-audio-classification")
    >>> ask("clip.wav", candidate_labels=["a dog barking from the left", "rain from behind"])

Importing the package is light: public names are loaded at their first use, and the models and pipelines enter
transformers' Auto classes and ``pipeline`` when transformers itself is imported, before or after.
"""

import importlib
from typing import TYPE_CHECKING, Any

from spatial_audio_lm.pipelines.registration import register_when_transformers_is_imported

__version__ = "0.1.0"

_PUBLIC_NAMES = {
    "SpatialAudio": "spatial_audio_lm.signal.spatial_audio",
    "audio_info": "spatial_audio_lm.signal.sound_files",
    "SpatialAudioError": "spatial_audio_lm.errors",
    "SceneRecord": "spatial_audio_lm.simulation.records",
    "render_scene": "spatial_audio_lm.simulation.scenes",
    "NaturalisticRecord": "spatial_audio_lm.simulation.naturalistic_records",
    "NaturalisticSettings": "spatial_audio_lm.simulation.naturalistic_records",
    "NaturalisticClips": "spatial_audio_lm.data.naturalistic_clips",
    "render_naturalistic": "spatial_audio_lm.simulation.naturalistic_scenes",
    "AudioFolder": "spatial_audio_lm.data.unlabelled_clips",
    "NpyShardClips": "spatial_audio_lm.data.unlabelled_clips",
    "ListedClips": "spatial_audio_lm.simulation.naturalistic_sources",
    "BankRirs": "spatial_audio_lm.simulation.naturalistic_sources",
    "RirSetFolder": "spatial_audio_lm.data.rir_sets",
    "RirSetShards": "spatial_audio_lm.data.rir_sets",
    "HouseSceneRirs": "spatial_audio_lm.data.house_scene_rirs",
    "ElsaConfig": "spatial_audio_lm.models.elsa.configuration_elsa",
    "ElsaSpatialConfig": "spatial_audio_lm.models.elsa.configuration_elsa",
    "ElsaFeatureExtractor": "spatial_audio_lm.models.elsa.feature_extraction_elsa",
    "ElsaProcessor": "spatial_audio_lm.models.elsa.processing_elsa",
    "ElsaModel": "spatial_audio_lm.models.elsa.modeling_elsa",
    "ElsaSpatialModel": "spatial_audio_lm.models.elsa.modeling_elsa",
    "ElsaSpatialModelForRegression": "spatial_audio_lm.models.elsa.modeling_elsa",
    "DSpASTConfig": "spatial_audio_lm.models.dspast.configuration_dspast",
    "DSpASTFeatureExtractor": "spatial_audio_lm.models.dspast.feature_extraction_dspast",
    "DSpASTModel": "spatial_audio_lm.models.dspast.modeling_dspast",
    "DSpASTForSoundEventLocalization": "spatial_audio_lm.models.dspast.modeling_dspast",
    "DSpASTForSELD": "spatial_audio_lm.models.dspast.modeling_dspast_seld",
    "SoundEvent": "spatial_audio_lm.layers.event_localization",
    "AudioMAEConfig": "spatial_audio_lm.models.audio_mae.configuration_audio_mae",
    "AudioMAEFeatureExtractor": "spatial_audio_lm.models.audio_mae.feature_extraction_audio_mae",
    "AudioMAEModel": "spatial_audio_lm.models.audio_mae.modeling_audio_mae",
    "AudioMAEForPreTraining": "spatial_audio_lm.models.audio_mae.modeling_audio_mae",
    "AudioMAEForAudioClassification": "spatial_audio_lm.models.audio_mae.modeling_audio_mae",
    "GramConfig": "spatial_audio_lm.models.gram.configuration_gram",
    "GramFeatureExtractor": "spatial_audio_lm.models.gram.feature_extraction_gram",
    "GramModel": "spatial_audio_lm.models.gram.modeling_gram",
    "GramForPreTraining": "spatial_audio_lm.models.gram.modeling_gram_pretraining",
    "WavJEPAConfig": "spatial_audio_lm.models.wavjepa.configuration_wavjepa",
    "WavJEPAFeatureExtractor": "spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa",
    "WavJEPAModel": "spatial_audio_lm.models.wavjepa.modeling_wavjepa",
    "WavJEPAForPreTraining": "spatial_audio_lm.models.wavjepa.modeling_wavjepa_pretraining",
    "BatConfig": "spatial_audio_lm.models.bat.configuration_bat",
    "BatProcessor": "spatial_audio_lm.models.bat.processing_bat",
    "BatForConditionalGeneration": "spatial_audio_lm.models.bat.modeling_bat",
    "SpatialCaptionerConfig": "spatial_audio_lm.models.spatial_captioner.configuration_spatial_captioner",
    "SpatialCaptionerProcessor": "spatial_audio_lm.models.spatial_captioner.processing_spatial_captioner",
    "SpatialCaptionerForConditionalGeneration": "spatial_audio_lm.models.spatial_captioner.modeling_spatial_captioner",
    "SpatialASTConfig": "spatial_audio_lm.models.spatial_ast.configuration_spatial_ast",
    "SpatialASTFeatureExtractor": "spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast",
    "SpatialASTModel": "spatial_audio_lm.models.spatial_ast.modeling_spatial_ast",
    "SpatialASTForSoundEventLocalization": "spatial_audio_lm.models.spatial_ast.modeling_spatial_ast",
    "SpatialQuery": "spatial_audio_lm.pipelines.querying",
    "QueryResult": "spatial_audio_lm.pipelines.answers",
    "QuestionAnswerer": "spatial_audio_lm.pipelines.answering",
    "AnsweredQuestion": "spatial_audio_lm.pipelines.spoken_answers",
    "SpatialAudioQuestionAnsweringPipeline": "spatial_audio_lm.pipelines.question_answering",
    "RecordingCaptioner": "spatial_audio_lm.pipelines.captioning",
    "CaptionedRecording": "spatial_audio_lm.pipelines.captioning_answers",
    "SpatialAudioCaptioningPipeline": "spatial_audio_lm.pipelines.captioning_pipeline",
    "SceneEncoder": "spatial_audio_lm.pipelines.scene_embeddings",
    "SoundEventLocator": "spatial_audio_lm.pipelines.locating",
    "EventsResult": "spatial_audio_lm.pipelines.answers",
    "ZeroShotSpatialAudioClassificationPipeline": "spatial_audio_lm.pipelines.zero_shot",
    "packaged": "spatial_audio_lm.models.checkpoints",
}

if TYPE_CHECKING:
    from spatial_audio_lm.data.house_scene_rirs import HouseSceneRirs as HouseSceneRirs
    from spatial_audio_lm.data.naturalistic_clips import NaturalisticClips as NaturalisticClips
    from spatial_audio_lm.data.rir_sets import RirSetFolder as RirSetFolder
    from spatial_audio_lm.data.rir_sets import RirSetShards as RirSetShards
    from spatial_audio_lm.data.unlabelled_clips import AudioFolder as AudioFolder
    from spatial_audio_lm.data.unlabelled_clips import NpyShardClips as NpyShardClips
    from spatial_audio_lm.errors import SpatialAudioError as SpatialAudioError
    from spatial_audio_lm.layers.event_localization import SoundEvent as SoundEvent
    from spatial_audio_lm.models.audio_mae.configuration_audio_mae import AudioMAEConfig as AudioMAEConfig
    from spatial_audio_lm.models.audio_mae.feature_extraction_audio_mae import (
        AudioMAEFeatureExtractor as AudioMAEFeatureExtractor,
    )
    from spatial_audio_lm.models.audio_mae.modeling_audio_mae import (
        AudioMAEForAudioClassification as AudioMAEForAudioClassification,
    )
    from spatial_audio_lm.models.audio_mae.modeling_audio_mae import AudioMAEForPreTraining as AudioMAEForPreTraining
    from spatial_audio_lm.models.audio_mae.modeling_audio_mae import AudioMAEModel as AudioMAEModel
    from spatial_audio_lm.models.bat.configuration_bat import BatConfig as BatConfig
    from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration as BatForConditionalGeneration
    from spatial_audio_lm.models.bat.processing_bat import BatProcessor as BatProcessor
    from spatial_audio_lm.models.checkpoints import packaged as packaged
    from spatial_audio_lm.models.dspast.configuration_dspast import DSpASTConfig as DSpASTConfig
    from spatial_audio_lm.models.dspast.feature_extraction_dspast import (
        DSpASTFeatureExtractor as DSpASTFeatureExtractor,
    )
    from spatial_audio_lm.models.dspast.modeling_dspast import (
        DSpASTForSoundEventLocalization as DSpASTForSoundEventLocalization,
    )
    from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTModel as DSpASTModel
    from spatial_audio_lm.models.dspast.modeling_dspast_seld import DSpASTForSELD as DSpASTForSELD
    from spatial_audio_lm.models.elsa.configuration_elsa import ElsaConfig as ElsaConfig
    from spatial_audio_lm.models.elsa.configuration_elsa import ElsaSpatialConfig as ElsaSpatialConfig
    from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor as ElsaFeatureExtractor
    from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel as ElsaModel
    from spatial_audio_lm.models.elsa.modeling_elsa import ElsaSpatialModel as ElsaSpatialModel
    from spatial_audio_lm.models.elsa.modeling_elsa import (
        ElsaSpatialModelForRegression as ElsaSpatialModelForRegression,
    )
    from spatial_audio_lm.models.elsa.processing_elsa import ElsaProcessor as ElsaProcessor
    from spatial_audio_lm.models.gram.configuration_gram import GramConfig as GramConfig
    from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor as GramFeatureExtractor
    from spatial_audio_lm.models.gram.modeling_gram import GramModel as GramModel
    from spatial_audio_lm.models.gram.modeling_gram_pretraining import GramForPreTraining as GramForPreTraining
    from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig as SpatialASTConfig
    from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import (
        SpatialASTFeatureExtractor as SpatialASTFeatureExtractor,
    )
    from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import (
        SpatialASTForSoundEventLocalization as SpatialASTForSoundEventLocalization,
    )
    from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTModel as SpatialASTModel
    from spatial_audio_lm.models.spatial_captioner.configuration_spatial_captioner import (
        SpatialCaptionerConfig as SpatialCaptionerConfig,
    )
    from spatial_audio_lm.models.spatial_captioner.modeling_spatial_captioner import (
        SpatialCaptionerForConditionalGeneration as SpatialCaptionerForConditionalGeneration,
    )
    from spatial_audio_lm.models.spatial_captioner.processing_spatial_captioner import (
        SpatialCaptionerProcessor as SpatialCaptionerProcessor,
    )
    from spatial_audio_lm.models.wavjepa.configuration_wavjepa import WavJEPAConfig as WavJEPAConfig
    from spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa import (
        WavJEPAFeatureExtractor as WavJEPAFeatureExtractor,
    )
    from spatial_audio_lm.models.wavjepa.modeling_wavjepa import WavJEPAModel as WavJEPAModel
    from spatial_audio_lm.models.wavjepa.modeling_wavjepa_pretraining import (
        WavJEPAForPreTraining as WavJEPAForPreTraining,
    )
    from spatial_audio_lm.pipelines.answering import QuestionAnswerer as QuestionAnswerer
    from spatial_audio_lm.pipelines.answers import EventsResult as EventsResult
    from spatial_audio_lm.pipelines.answers import QueryResult as QueryResult
    from spatial_audio_lm.pipelines.captioning import RecordingCaptioner as RecordingCaptioner
    from spatial_audio_lm.pipelines.captioning_answers import CaptionedRecording as CaptionedRecording
    from spatial_audio_lm.pipelines.captioning_pipeline import (
        SpatialAudioCaptioningPipeline as SpatialAudioCaptioningPipeline,
    )
    from spatial_audio_lm.pipelines.locating import SoundEventLocator as SoundEventLocator
    from spatial_audio_lm.pipelines.querying import SpatialQuery as SpatialQuery
    from spatial_audio_lm.pipelines.question_answering import (
        SpatialAudioQuestionAnsweringPipeline as SpatialAudioQuestionAnsweringPipeline,
    )
    from spatial_audio_lm.pipelines.scene_embeddings import SceneEncoder as SceneEncoder
    from spatial_audio_lm.pipelines.spoken_answers import AnsweredQuestion as AnsweredQuestion
    from spatial_audio_lm.pipelines.zero_shot import (
        ZeroShotSpatialAudioClassificationPipeline as ZeroShotSpatialAudioClassificationPipeline,
    )
    from spatial_audio_lm.signal.sound_files import audio_info as audio_info
    from spatial_audio_lm.signal.spatial_audio import SpatialAudio as SpatialAudio
    from spatial_audio_lm.simulation.naturalistic_records import NaturalisticRecord as NaturalisticRecord
    from spatial_audio_lm.simulation.naturalistic_records import NaturalisticSettings as NaturalisticSettings
    from spatial_audio_lm.simulation.naturalistic_scenes import render_naturalistic as render_naturalistic
    from spatial_audio_lm.simulation.naturalistic_sources import BankRirs as BankRirs
    from spatial_audio_lm.simulation.naturalistic_sources import ListedClips as ListedClips
    from spatial_audio_lm.simulation.records import SceneRecord as SceneRecord
    from spatial_audio_lm.simulation.scenes import render_scene as render_scene

__all__ = list(_PUBLIC_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC_NAMES[name]), name)
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC_NAMES})


register_when_transformers_is_imported()
