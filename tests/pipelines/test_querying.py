"""The engine: windows, scores, directions, what it says about resampling, and that its answers are strict JSON."""

import copy
import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from spatial_audio_lm.errors import CheckpointError, FormatWarning, TextError
from spatial_audio_lm.files import read_json, write_json
from spatial_audio_lm.objectives.spatial_regression import vmf_probability_within
from spatial_audio_lm.pipelines.querying import SpatialQuery, spread_deg
from spatial_audio_lm.signal.ambisonics import convert_foa
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

TEXTS = ["a dog barking from the left", "rain from behind", "a siren"]
NUMBERS = ("azimuth_deg", "elevation_deg", "distance_m", "confidence")


def test_scores_are_the_softmax_of_scaled_similarities(engine, clip):
    result = engine.query(clip, TEXTS)
    similarities = torch.tensor([match.similarity for match in result.results], dtype=torch.float64)
    expected = (engine.model.logit_scale.double().exp() * similarities).softmax(0)
    assert [match.score for match in result.results] == pytest.approx(expected.tolist(), abs=1e-6)
    assert sum(match.score for match in result.results) == pytest.approx(1.0)
    assert [match.similarity for match in result.results] == sorted(similarities.tolist(), reverse=True)
    assert {match.text for match in result.results} == set(TEXTS)


def test_a_single_sentence_has_a_similarity_and_no_score(engine, clip):
    for texts in (TEXTS[0], TEXTS[:1]):
        (match,) = engine.query(clip, texts).results
        assert match.score is None and -1.0 <= match.similarity <= 1.0


def test_similarity_does_not_depend_on_the_other_sentences(engine, clip):
    together = {match.text: match.similarity for match in engine.query(clip, TEXTS).results}
    for text in TEXTS:
        assert engine.query(clip, text).results[0].similarity == pytest.approx(together[text], abs=1e-5)


def test_query_agrees_with_the_embeddings(engine, clip):
    vectors, sentences = engine.embed(clip).embeddings, engine.embed_texts(TEXTS)
    assert vectors.shape == (1, engine.model.config.projection_dim)
    assert vectors.norm(dim=1).tolist() == pytest.approx([1.0])
    expected = dict(zip(TEXTS, (vectors @ sentences.T)[0].tolist(), strict=True))
    for match in engine.query(clip, TEXTS).results:
        assert match.similarity == pytest.approx(expected[match.text], abs=1e-5)


def test_every_way_to_give_a_recording_gives_the_same_answer(engine, clip):
    audio = SpatialAudio.load(clip)
    given = [clip, str(clip), audio, {"array": audio.waveform, "sampling_rate": 16_000, "format": "foa"}]
    given.append({"array": audio.waveform.numpy(), "sampling_rate": 16_000})
    answers = [engine.query(one, TEXTS) for one in given]
    assert len({tuple(match.similarity for match in answer.results) for answer in answers}) == 1
    assert [answer.file for answer in answers] == [str(clip), str(clip), str(clip), None, None]


def test_a_short_recording_is_one_window(engine, make_sound):
    for duration_s in (0.05, 2.0, 10.0):
        result = engine.query(make_sound(duration_s), TEXTS)
        assert [(window.start_s, window.end_s) for window in result.windows] == [(0.0, pytest.approx(duration_s))]


def test_a_long_file_and_the_same_in_memory_are_cut_alike(engine, long_clip):
    from_file = engine.query(long_clip, TEXTS)
    in_memory = engine.query(SpatialAudio.load(long_clip), TEXTS)
    spans = [(window.start_s, window.end_s) for window in from_file.windows]
    assert spans == [(start, min(start + 4.0, 21.0)) for start in range(0, 19, 2)]
    assert in_memory.windows == from_file.windows


def test_silent_stretches_say_nothing_and_the_best_window_tells_the_place(engine, long_clip):
    result = engine.query(long_clip, TEXTS)
    silent = [window for window in result.windows if window.start_s >= 6.0 and window.end_s <= 14.0]
    assert len(silent) == 3
    for window in silent:
        assert window.reason.startswith("silence") and window.azimuth_deg is None
        assert all(match.similarity is None and match.score is None for match in window.results)
    best = max(result.windows, key=lambda window: window.best_similarity)
    assert (result.start_s, result.end_s, result.azimuth_deg) == (best.start_s, best.end_s, best.azimuth_deg)
    assert len(engine.embed(long_clip).embeddings) == len(result.windows) - len(silent)


def test_every_sentence_is_answered_at_its_own_best_moment(engine, long_clip):
    result = engine.query(long_clip, TEXTS)
    for match in result.results:
        of_window = {w.start_s: next(m.similarity for m in w.results if m.text == match.text) for w in result.windows}
        heard = {start: similarity for start, similarity in of_window.items() if similarity is not None}
        assert match.start_s == max(heard, key=heard.get)
        assert match.similarity == heard[match.start_s]
    similarities = torch.tensor([match.similarity for match in result.results], dtype=torch.float64)
    assert similarities.tolist() == sorted(similarities.tolist(), reverse=True)
    scores = (similarities * engine.model.logit_scale.exp().item()).softmax(0)
    assert [match.score for match in result.results] == pytest.approx(scores.tolist(), abs=1e-6)
    assert (result.start_s, result.end_s) == (result.results[0].start_s, result.results[0].end_s)


def test_a_window_answers_as_the_same_stretch_alone(engine, long_clip):
    window = engine.query(long_clip, TEXTS).windows[1]
    alone = engine.query(SpatialAudio.load(long_clip, start_s=2.0, duration_s=4.0), TEXTS)
    assert window.azimuth_deg == pytest.approx(alone.azimuth_deg, abs=0.01)
    assert {m.text: m.similarity for m in window.results} == pytest.approx(
        {m.text: m.similarity for m in alone.results}, abs=1e-5
    )


def test_resampling_is_said(engine, make_sound, tmp_path):
    audio = make_sound(2.0, rate=48_000)
    assert engine.query(audio, TEXTS).resampled_from == 48_000
    audio.save(tmp_path / "fast.wav")
    assert engine.locate(tmp_path / "fast.wav").resampled_from == 48_000
    assert engine.embed(tmp_path / "fast.wav").resampled_from == 48_000
    assert engine.query(make_sound(2.0), TEXTS).resampled_from is None


def test_no_direction_where_there_is_none(engine, make_sound):
    sound = make_sound().waveform[0]
    silence = SpatialAudio.from_array(torch.zeros(4, 16_000), 16_000)
    cases = {
        "mono": SpatialAudio.from_array(sound, 16_000),
        "identical": SpatialAudio.from_array(sound.expand(4, -1), 16_000),
        "no dipoles": SpatialAudio.from_array(torch.stack([sound, *[torch.zeros_like(sound)] * 3]), 16_000),
        "silence": silence,
    }
    for reason, audio in cases.items():
        place = engine.locate(audio)
        assert place.reason.startswith(reason)
        assert all(getattr(place, name) is None for name in NUMBERS)
        if audio is not silence:
            answer = engine.query(audio, TEXTS)
            assert answer.reason.startswith(reason) and answer.azimuth_deg is None
            assert answer.results[0].similarity is not None


def test_a_direction_comes_with_its_confidence(engine, clip):
    place = engine.locate(clip)
    assert place.reason is None
    assert -180.0 <= place.azimuth_deg < 180.0 and -90.0 <= place.elevation_deg <= 90.0 and place.distance_m > 0
    assert 0.0 < place.confidence < 1.0 and 0.0 < place.spread_deg < 180.0
    # The cone of 80 percent is wider than 20 degrees exactly if 20 degrees hold less than 80 percent.
    assert (place.spread_deg > 20.0) == (place.confidence < 0.8)


@pytest.mark.parametrize("kappa", [1e-4, 0.5, 10.0, 300.0])
def test_spread_inverts_the_probability(kappa):
    assert float(vmf_probability_within(kappa, spread_deg(kappa))) == pytest.approx(0.8, abs=1e-3)


def test_a_model_without_confidence_gives_no_direction(engine, clip):
    model = copy.deepcopy(engine.model)
    model.concentration_head = None
    place = SpatialQuery(model, engine.processor).locate(clip)
    assert place.azimuth_deg is None and place.reason.startswith("no confidence")


def test_answers_are_strict_json_with_the_promised_fields(engine, long_clip):
    fields = json.loads(json.dumps(engine.query(long_clip, TEXTS).to_dict(), allow_nan=False))
    assert {"file", "results", *NUMBERS, "windows", "resampled_from", "warnings", "reason"} <= set(fields)
    assert set(fields["results"][0]) == {"text", "similarity", "score", "start_s", "end_s"}
    short = engine.query(SpatialAudio.load(long_clip, duration_s=4.0), TEXTS).to_dict()
    assert set(short["results"][0]) == {"text", "similarity", "score"}
    assert {"start_s", "end_s", "results", *NUMBERS, "reason"} == set(fields["windows"][0])
    place = json.loads(json.dumps(engine.locate(long_clip).to_dict(), allow_nan=False))
    assert "results" not in place and "results" not in place["windows"][0]


def test_fuma_declared_as_ambix_is_warned_of_and_the_declaration_helps(engine, make_sound, tmp_path):
    foa = make_sound(2.0, azimuth_deg=45.0)
    fuma = convert_foa(foa.waveform, "ambix", "fuma")
    SpatialAudio(fuma, foa.sample_rate, "foa").save(tmp_path / "fuma.wav")
    with pytest.warns(FormatWarning, match="foa_fuma"):
        result = engine.query(tmp_path / "fuma.wav", TEXTS)
    assert any("--format foa_fuma" in warning for warning in result.warnings)
    declared = engine.query(tmp_path / "fuma.wav", TEXTS, format="foa_fuma")
    assert declared.warnings == ()
    assert declared.azimuth_deg == pytest.approx(engine.query(foa, TEXTS).azimuth_deg, abs=0.1)


def test_progress_ends_with_the_whole(engine, long_clip):
    calls = []
    engine.query(long_clip, TEXTS, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (21.0, 21.0)


@pytest.mark.parametrize(
    "texts", [[], "", "  ", "🐶 🐕", ["a dog", ""], [3], None, "x" * 20_001, "\ud800", "word " * 100]
)
def test_texts_that_are_none(engine, clip, texts):
    with pytest.raises(TextError):
        engine.query(clip, texts)


def test_what_is_no_text_is_named_by_its_type(engine, clip):
    with pytest.raises(TextError, match="sentence 2 is of type int; expected text"):
        engine.query(clip, ["a dog", 3])


def test_the_model_is_checked_before_it_answers(tiny_elsa, tmp_path):
    with pytest.raises(CheckpointError, match="folder"):
        SpatialQuery.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        SpatialQuery.from_pretrained(tmp_path)

    def copied(name: str) -> Path:
        return Path(shutil.copytree(tiny_elsa, tmp_path / name))

    other = copied("other")
    write_json(other / "config.json", {"model_type": "bert"})
    with pytest.raises(CheckpointError, match="bert"):
        SpatialQuery.from_pretrained(other)

    torn = copied("torn")
    (torn / "model.safetensors").write_bytes((torn / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="torn"):
        SpatialQuery.from_pretrained(torn)

    wider = copied("wider")
    config = read_json(wider / "config.json")
    write_json(wider / "config.json", config | {"projection_dim": config["projection_dim"] * 2})
    with pytest.raises(CheckpointError):
        SpatialQuery.from_pretrained(wider)

    lacking = copied("lacking")
    write_json(lacking / "config.json", config | {"head_hidden": config["head_hidden"] * 2})
    with pytest.raises(CheckpointError):
        SpatialQuery.from_pretrained(lacking)

    untrained = copied("untrained")
    write_json(untrained / "conversion.json", {"layout": "laion"})
    with pytest.raises(CheckpointError, match="train it first"):
        SpatialQuery.from_pretrained(untrained)


def test_weights_that_are_nan_are_noticed(tiny_elsa, clip):
    damaged = SpatialQuery.from_pretrained(tiny_elsa)
    with torch.no_grad():
        damaged.model.audio_projection.linear2.bias.fill_(math.nan)
    with pytest.raises(CheckpointError, match="NaN"):
        damaged.query(clip, TEXTS)


def test_half_precision_answers_nearly_the_same(tiny_elsa, engine, clip):
    half = SpatialQuery.from_pretrained(tiny_elsa)
    half.model.to(torch.bfloat16)
    exact = {match.text: match.similarity for match in engine.query(clip, TEXTS).results}
    for match in half.query(clip, TEXTS).results:
        assert match.similarity == pytest.approx(exact[match.text], abs=0.03)
    assert half.locate(clip).azimuth_deg is not None
