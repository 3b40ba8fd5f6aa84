"""What agents call. Every `Route` in a module of this package is served."""
