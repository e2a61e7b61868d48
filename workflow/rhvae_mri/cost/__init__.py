"""What a study will cost, from what a smaller one has cost."""
