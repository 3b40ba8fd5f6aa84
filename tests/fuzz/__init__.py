"""Fuzzing of a real server: generated requests and conversations, and what must hold throughout."""
