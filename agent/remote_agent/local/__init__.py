"""What belongs to this host alone: the state directory, its lock and disk, the control socket."""
