"""Waveforms and space: functions on sound, no learning."""
