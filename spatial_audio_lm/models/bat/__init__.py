"""BAT: questions about the sounds of a recording, answered by a language model that hears with one of our encoders."""
