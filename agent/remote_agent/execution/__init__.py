"""Attempts at work: shims asked for, heard, stopped."""
