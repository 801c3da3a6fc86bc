"""Modules that two or more systems use."""
