"""DSpAST: a two-eared encoder with a branch each for distance, direction and event."""
