"""Metrics, per-seed runs and the study's tables."""
