"""Measures, each with its chance level."""
