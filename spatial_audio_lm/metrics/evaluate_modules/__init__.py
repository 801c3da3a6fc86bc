"""Metrics as modules of `evaluate`, one a folder, loaded by path: `evaluate.load(FOLDER)`."""
