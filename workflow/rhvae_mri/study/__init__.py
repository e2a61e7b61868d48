"""The study as a whole: its configuration."""
