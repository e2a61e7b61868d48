"""The pages and texts that readers of a study open."""
