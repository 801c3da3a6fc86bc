"""Loaders of data sets, always with channels whole."""
