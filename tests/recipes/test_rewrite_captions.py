"""From captions to spatial captions by one command, with real engines: small models of random weights."""

import csv
from pathlib import Path

import datasets
import pytest

from spatial_audio_lm.captions.rewriting_job import RESULT_SCHEMA
from spatial_audio_lm.errors import CheckpointError, ConfigError, DataError, MissingExtraError
from spatial_audio_lm.files import read_json
from tests import kill_resume
from tests.captions.tiny_causal import write_causal
from tests.captions.tiny_gguf import write_gguf
from tests.recipes import recipe_jobs

CAPTIONS = (
    "A dog barks at a passing car.",
    "rain on a tin roof",
    "Two men talk while birds sing",
    "the purr of a carrera",
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    path = tmp_path / "captions.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file_name", "caption"), *((f"{n}.wav", text) for n, text in enumerate(CAPTIONS))])
    return path


@pytest.fixture(scope="module")
def gguf(tmp_path_factory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    return write_causal(tmp_path_factory.mktemp("causal"))


def run(captions: Path, out: Path, *options: str) -> object:
    return recipe_jobs.run("rewrite_captions", "--source.path", str(captions), "--output_dir", str(out), *options)


def test_captions_become_spatial_captions_with_transformers(
    captions: Path,
    tmp_path: Path,
    model_folder: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    out = tmp_path / "out"
    options = (
        "--engine.kind", "transformers", "--engine.model", str(model_folder), "--engine.context", "256",
        "--rewriting.prompt", "elsa", "--rewriting.sampling.max_tokens", "12", "--source.id_column", "file_name",
        "--captions_per_shard", "3",
    )  # fmt: skip
    report = run(captions, out, *options)
    data = datasets.load_dataset("parquet", data_files=str(out / "shard-*.parquet"), split="train")
    assert data.column_names == RESULT_SCHEMA.names and list(data["caption"]) == list(CAPTIONS)
    assert list(data["id"]) == [f"{number}.wav" for number in range(4)]
    assert report == read_json(out / "report.json") and report["captions"] == 4
    assert (out / "report.md").read_text().strip() in capsys.readouterr().out
    assert read_json(out / "complete.json")["captions"] == 4
    before = kill_resume.hashes(out)
    (out / "shard-00001.parquet").unlink()
    run(captions, out, *options)
    assert kill_resume.hashes(out) == before
    with pytest.raises(DataError, match="begun with another rewriting"):
        run(captions, out, *options, "--rewriting.attempts", "3")


def test_captions_become_spatial_captions_with_llama_cpp(captions: Path, tmp_path: Path, gguf: Path) -> None:
    pytest.importorskip("llama_cpp", reason="needs the extra rewrite")
    for name, options in (("slots", ()), ("elsa", ("--rewriting.prompt", "elsa", "--rewriting.chat_format", "chatml"))):
        report = run(captions, tmp_path / name, "--engine.model", str(gguf), *options)
        assert report["captions"] == 4 and report["rejected"] == 8 and report["by_template"] == 4
        data = datasets.load_dataset("parquet", data_files=str(tmp_path / name / "shard-*.parquet"), split="train")
        texts = [rejected["text"] for row in data["rejections"] for rejected in row]
        assert len(set(texts)) > 4  # the seeds differ, and so do the answers


def test_datatrove_as_executor_and_work_for_others(captions: Path, tmp_path: Path, model_folder: Path) -> None:
    options = (
        "--engine.kind", "transformers", "--engine.model", str(model_folder), "--engine.context", "256",
        "--rewriting.prompt", "elsa", "--rewriting.sampling.max_tokens", "8",
    )  # fmt: skip
    out = tmp_path / "out"
    assert run(captions, out, *options, "--executor", "none") is None
    assert (out / "plan.json").exists() and not list(out.glob("shard-*.parquet"))
    pytest.importorskip("datatrove", reason="needs the extra cluster")
    assert run(captions, out, *options, "--executor", "datatrove")["captions"] == 4
    assert (out / "complete.json").exists() and (out / "datatrove").is_dir()


def test_what_cannot_be_done_is_refused_before_any_work(captions: Path, tmp_path: Path, gguf: Path) -> None:
    out = tmp_path / "out"

    def refused(kind: type[Exception], message: str, *options: str) -> None:
        with pytest.raises(kind, match=message):
            run(captions, out, *options)
        assert not (out / "plan.json").exists() and not list(out.glob("shard-*.parquet"))

    refused(ConfigError, "no model is given; set engine.model to the path of a GGUF file")
    refused(CheckpointError, "captions.csv: no GGUF file", "--engine.model", str(captions))
    refused(ConfigError, "did you mean 'engine.model'", "--engine.modell", "x")
    refused(ConfigError, "no column 'text': did you mean", "--source.text_columns", "[text]")
    refused(ConfigError, "has no column that says where a sound is", "--source.attributes", "columns")
    try:
        import llama_cpp  # noqa: F401
    except ImportError:
        refused(MissingExtraError, r"pip install 'spatial-audio-lm\[rewrite\]'", "--engine.model", str(gguf))
    else:
        refused(
            ConfigError, "the longest prompt has .* a context of", "--engine.model", str(gguf), "--engine.context", "64"
        )
