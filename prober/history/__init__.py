"""What happened: the journal on disk, SQL, incidents and their timelines."""
