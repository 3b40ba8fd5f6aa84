"""What logs and inputs need of a local disk: private folders, syncs in groups, room, holes."""
