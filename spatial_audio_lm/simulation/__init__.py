"""Rooms, impulse responses, scenes."""
