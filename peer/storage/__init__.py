"""What a peer keeps on disk. Every call may block: services make them in a thread. All failures: `StorageError`."""
