"""What a user may set: the typed schema, and how files, environment and command line become one `Config`."""
