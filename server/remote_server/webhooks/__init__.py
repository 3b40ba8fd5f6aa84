"""Webhooks: one loop sends their messages, one looks at the states that they tell."""
