"""Audio-MAE: a masked autoencoder of spectrograms, the ancestor of the package's other encoders."""
