"""Labels of other tools: one file a format, each giving pictures and shapes from a checked source."""
