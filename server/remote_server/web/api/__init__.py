"""What people and programs call, a module a resource. Every `Route` in a module here is served."""
