"""ELSA: audio and text in one space, spatial words included (Devnani et al., 2024)."""
