"""Attacks on a real server by whoever can reach it: each must fail, and disturb nobody."""
