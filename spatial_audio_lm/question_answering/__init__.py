"""Questions about where the sounds are: SpatialSoundQA's records and rendering, and questions made from scenes."""
