"""Cohorts: tables of images, splits."""
