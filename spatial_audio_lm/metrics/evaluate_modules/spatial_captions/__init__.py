"""What captions say right of sound, place and room."""
