"""WavJEPA and WavJEPA-Nat: embeddings of raw waveforms of one or two channels."""
