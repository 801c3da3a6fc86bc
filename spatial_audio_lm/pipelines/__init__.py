"""Hugging Face pipelines for sound with channels."""
