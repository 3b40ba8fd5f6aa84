"""The agent's platform on Windows 10 and later, by the Win32 API and the standard library alone.

Every module asserts its platform first, so that the type check knows which branch it is in.
"""
