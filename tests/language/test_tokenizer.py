"""Tokenizers from texts: repeatable, and letters or bytes for what they have not read."""

from transformers import AutoTokenizer

from spatial_audio_lm.language.tokenizer import byte_tokenizer_from_texts, tokenizer_from_texts

TEXTS = ["a dog barking from the left", "The dog, far away!", "rain from behind"]


def test_same_texts_same_tokenizer():
    first, second = (tokenizer_from_texts(TEXTS).get_vocab() for _ in range(2))
    assert first == second and sorted(first.values()) == list(range(len(first)))


def test_words_letters_and_the_unknown():
    tokenizer = tokenizer_from_texts(TEXTS)
    assert tokenizer.tokenize("Dog from LEFT") == ["dog", "from", "left"]
    assert tokenizer.tokenize("big") == ["b", "##i", "##g"]
    assert tokenizer.tokenize("ß") == ["[UNK]"]
    encoded = tokenizer(["dog", "rain from behind"], padding=True)
    assert encoded["attention_mask"] == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"][0])[:3] == ["[CLS]", "dog", "[SEP]"]


def test_the_vocabulary_is_bounded():
    words = tokenizer_from_texts([f"word{number} common" for number in range(500)], vocab_size=100).get_vocab()
    assert len(words) == 100 and "common" in words


def test_tokenizer_that_writes_gives_every_text_back_in_lower_case(tmp_path):
    texts = ["Is the dog to the left of the rain?", "left, front, below; 2.5m", "dog; rain"]
    tokenizer = byte_tokenizer_from_texts(texts, ("<|audio|>",), 400)
    assert tokenizer.get_vocab() == byte_tokenizer_from_texts(texts, ("<|audio|>",), 400).get_vocab()
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in (*texts, "Zoë hears 12.25 metres\n", "<|audio|>the dog", "  two  spaces ; ßẞ 犬"):
        ids = loaded(text)["input_ids"]
        assert ids[0] == loaded.bos_token_id and loaded.decode(ids[1:]) == text.lower()
        assert ids == tokenizer(text)["input_ids"]
    assert loaded.tokenize("The dog, 2.5m left") == ["t", "h", "e", "Ġdog", ",", "Ġ2", ".", "5", "m", "Ġleft"]
    assert len(loaded("<|audio|>")["input_ids"]) == 2 and len(loaded) <= 400
    assert (loaded.pad_token, loaded.eos_token) == ("<pad>", "</s>") and loaded.unk_token is None
    assert len(byte_tokenizer_from_texts(texts, vocab_size=0)) == 3 + 256
