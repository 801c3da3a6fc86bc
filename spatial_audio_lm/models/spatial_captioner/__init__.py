"""Captions of spatial recordings: an encoder's embedding as the prefix of a language model."""
