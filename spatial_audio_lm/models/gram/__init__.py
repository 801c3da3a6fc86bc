"""GRAM: masked autoencoders for sound in real rooms."""
