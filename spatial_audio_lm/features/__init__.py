"""Waveforms to network inputs."""
