"""Describes how a run ended, and how long its steps took."""
