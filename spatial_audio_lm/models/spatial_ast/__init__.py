"""SpatialAST: the two-eared encoder of BAT."""
