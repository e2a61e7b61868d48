"""Models that make synthetic images, and how good these are."""
