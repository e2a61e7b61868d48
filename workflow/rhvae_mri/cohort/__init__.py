"""Cohorts: conversion to BIDS, tables of images, splits."""
