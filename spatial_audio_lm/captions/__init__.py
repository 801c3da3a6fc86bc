"""Spatial captions: rewritten by a language model, and kept only where the rewriting is true."""
