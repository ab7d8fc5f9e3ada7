"""What agebackup exists for: consistent copies, the bag, the archive, keys and encryption."""
