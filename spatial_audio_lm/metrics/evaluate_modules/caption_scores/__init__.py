"""BLEU, ROUGE-L, CIDEr-D and others of captions."""
