"""Simulated ADNI and AIBL downloads with known ground truth, made from average anatomy."""
