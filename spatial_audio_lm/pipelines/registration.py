"""Makes transformers know this package's models and pipelines, without importing transformers before anyone needs it.

``import spatial_audio_lm`` takes milliseconds, and works where transformers does not (``spatial-audio-lm doctor`` must
be able to say why). So what has to be entered into transformers' tables is entered at the moment those tables exist:
an import hook counts how deep the running import is, and once the outermost import of a transformers module (or of
one of ours) has finished, the tables that are there by then are filled. Never in the middle: our model files import
transformers' and would meet half-made modules.
"""

import functools
import importlib.abc
import importlib.machinery
import sys
import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from spatial_audio_lm.models.checkpoints import (
    DEFAULT_CAPTION_MODEL,
    DEFAULT_QUERY_MODEL,
    DEFAULT_QUESTION_MODEL,
    PACKAGED_FOLDER,
)

_WATCHED = ("transformers.", "spatial_audio_lm.")
_AUTO_MODULES = tuple(
    f"transformers.models.auto.{name}_auto"
    for name in ("configuration", "modeling", "feature_extraction", "processing")
)
_PIPELINES_MODULE = "transformers.pipelines"


def register_auto_classes() -> None:
    """Enters the models into AutoConfig, AutoModel, AutoFeatureExtractor and the other Auto classes they fit."""
    from transformers import (
        AutoConfig,
        AutoFeatureExtractor,
        AutoModel,
        AutoModelForAudioClassification,
        AutoModelForMultimodalLM,
        AutoModelForPreTraining,
        AutoProcessor,
    )

    from spatial_audio_lm.models.audio_mae.configuration_audio_mae import AudioMAEConfig
    from spatial_audio_lm.models.audio_mae.feature_extraction_audio_mae import AudioMAEFeatureExtractor
    from spatial_audio_lm.models.audio_mae.modeling_audio_mae import (
        AudioMAEForAudioClassification,
        AudioMAEForPreTraining,
        AudioMAEModel,
    )
    from spatial_audio_lm.models.bat.configuration_bat import BatConfig
    from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
    from spatial_audio_lm.models.bat.processing_bat import BatProcessor
    from spatial_audio_lm.models.dspast.configuration_dspast import DSpASTConfig
    from spatial_audio_lm.models.dspast.feature_extraction_dspast import DSpASTFeatureExtractor
    from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTModel
    from spatial_audio_lm.models.elsa.configuration_elsa import ElsaConfig, ElsaConvConfig, ElsaSpatialConfig
    from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor
    from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel
    from spatial_audio_lm.models.elsa.modeling_elsa_conv import ElsaConvModel
    from spatial_audio_lm.models.elsa.modeling_elsa_spatial import ElsaSpatialModel
    from spatial_audio_lm.models.elsa.processing_elsa import ElsaProcessor
    from spatial_audio_lm.models.gram.configuration_gram import GramConfig
    from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor
    from spatial_audio_lm.models.gram.modeling_gram import GramModel
    from spatial_audio_lm.models.gram.modeling_gram_pretraining import GramForPreTraining
    from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig
    from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import SpatialASTFeatureExtractor
    from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTModel
    from spatial_audio_lm.models.spatial_captioner.configuration_spatial_captioner import SpatialCaptionerConfig
    from spatial_audio_lm.models.spatial_captioner.modeling_spatial_captioner import (
        SpatialCaptionerForConditionalGeneration,
    )
    from spatial_audio_lm.models.spatial_captioner.processing_spatial_captioner import SpatialCaptionerProcessor
    from spatial_audio_lm.models.wavjepa.configuration_wavjepa import WavJEPAConfig
    from spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa import WavJEPAFeatureExtractor
    from spatial_audio_lm.models.wavjepa.modeling_wavjepa import WavJEPAModel
    from spatial_audio_lm.models.wavjepa.modeling_wavjepa_pretraining import WavJEPAForPreTraining

    for config, model in (
        (ElsaConfig, ElsaModel),
        (ElsaConvConfig, ElsaConvModel),
        (ElsaSpatialConfig, ElsaSpatialModel),
        (SpatialASTConfig, SpatialASTModel),
        (DSpASTConfig, DSpASTModel),
        (AudioMAEConfig, AudioMAEModel),
        (GramConfig, GramModel),
        (WavJEPAConfig, WavJEPAModel),
    ):
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, model, exist_ok=True)
    AutoFeatureExtractor.register(ElsaConfig, ElsaFeatureExtractor, exist_ok=True)
    AutoFeatureExtractor.register(SpatialASTConfig, SpatialASTFeatureExtractor, exist_ok=True)
    AutoFeatureExtractor.register(DSpASTConfig, DSpASTFeatureExtractor, exist_ok=True)
    AutoFeatureExtractor.register(AudioMAEConfig, AudioMAEFeatureExtractor, exist_ok=True)
    AutoFeatureExtractor.register(GramConfig, GramFeatureExtractor, exist_ok=True)
    AutoFeatureExtractor.register(WavJEPAConfig, WavJEPAFeatureExtractor, exist_ok=True)
    AutoModelForPreTraining.register(AudioMAEConfig, AudioMAEForPreTraining, exist_ok=True)
    AutoModelForPreTraining.register(GramConfig, GramForPreTraining, exist_ok=True)
    AutoModelForPreTraining.register(WavJEPAConfig, WavJEPAForPreTraining, exist_ok=True)
    AutoModelForAudioClassification.register(AudioMAEConfig, AudioMAEForAudioClassification, exist_ok=True)
    AutoProcessor.register(ElsaConfig, ElsaProcessor, exist_ok=True)
    AutoConfig.register(BatConfig.model_type, BatConfig, exist_ok=True)
    AutoModelForMultimodalLM.register(BatConfig, BatForConditionalGeneration, exist_ok=True)
    AutoProcessor.register(BatConfig, BatProcessor, exist_ok=True)
    AutoConfig.register(SpatialCaptionerConfig.model_type, SpatialCaptionerConfig, exist_ok=True)
    AutoModelForMultimodalLM.register(SpatialCaptionerConfig, SpatialCaptionerForConditionalGeneration, exist_ok=True)
    AutoProcessor.register(SpatialCaptionerConfig, SpatialCaptionerProcessor, exist_ok=True)


def register_pipelines() -> None:
    """Enters the pipelines into ``transformers.pipeline``.

    The entry is written as transformers writes its own: the class by name, imported at its first use.
    ``PIPELINE_REGISTRY.register_pipeline`` would mark the class as code that travels with a checkpoint, and a folder
    saved by the pipeline could then be loaded only with ``trust_remote_code``.
    """
    from transformers import AutoModel, AutoModelForMultimodalLM
    from transformers.pipelines import PIPELINE_REGISTRY

    PIPELINE_REGISTRY.supported_tasks["zero-shot-spatial-audio-classification"] = {
        "impl": "spatial_audio_lm.pipelines.zero_shot.ZeroShotSpatialAudioClassificationPipeline",
        "pt": (AutoModel,),
        "default": {"model": (str(PACKAGED_FOLDER / DEFAULT_QUERY_MODEL), None)},
        "type": "multimodal",
    }
    PIPELINE_REGISTRY.supported_tasks["spatial-audio-question-answering"] = {
        "impl": "spatial_audio_lm.pipelines.question_answering.SpatialAudioQuestionAnsweringPipeline",
        "pt": (AutoModelForMultimodalLM,),
        "default": {"model": (str(PACKAGED_FOLDER / DEFAULT_QUESTION_MODEL), None)},
        "type": "multimodal",
    }
    PIPELINE_REGISTRY.supported_tasks["spatial-audio-captioning"] = {
        "impl": "spatial_audio_lm.pipelines.captioning_pipeline.SpatialAudioCaptioningPipeline",
        "pt": (AutoModelForMultimodalLM,),
        "default": {"model": (str(PACKAGED_FOLDER / DEFAULT_CAPTION_MODEL), None)},
        "type": "multimodal",
    }


class _RegistrationHook(importlib.abc.MetaPathFinder):
    """Finds modules as the interpreter does, and notices when the outermost import has finished."""

    def __init__(self) -> None:
        self.steps: list[tuple[tuple[str, ...], Callable[[], None]]] = [
            (_AUTO_MODULES, register_auto_classes),
            ((_PIPELINES_MODULE,), register_pipelines),
        ]
        self.depth = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(_WATCHED):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            # On the instance: the loader keeps its class, so that sources, resources and tracebacks stay as they are.
            spec.loader.exec_module = functools.partial(self._execute, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec

    def _execute(self, execute: Callable[[ModuleType], Any], module: ModuleType) -> None:
        self.depth.value = getattr(self.depth, "value", 0) + 1
        try:
            execute(module)
        finally:
            self.depth.value -= 1
        if self.depth.value == 0:
            self.run_due_steps()

    def run_due_steps(self) -> None:
        """Runs, once each, the registrations whose tables have been imported."""
        for step in [step for step in self.steps if any(name in sys.modules for name in step[0])]:
            if step not in self.steps:  # done meanwhile: a registration imports modules too, and comes by here
                continue
            self.steps.remove(step)
            try:
                step[1]()
            except BaseException:
                self.steps.append(step)  # the import that failed is reported; the next one tries again
                raise
        if not self.steps and self in sys.meta_path:
            sys.meta_path.remove(self)


def register_when_transformers_is_imported() -> None:
    """Installs the hook; called once by the package. Tables that exist already are filled at once."""
    hook = _RegistrationHook()
    sys.meta_path.insert(0, hook)
    hook.run_due_steps()
