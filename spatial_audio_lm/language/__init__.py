"""Text only: classes, attributes, captions."""
