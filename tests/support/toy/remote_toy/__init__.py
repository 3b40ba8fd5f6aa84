"""The parts of the extension `toy`."""
