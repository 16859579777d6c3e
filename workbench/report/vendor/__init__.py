"""Third parties' scripts, as they were released; ``lock.json`` says which and whose."""
