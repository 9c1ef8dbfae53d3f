"""From files as people have them to logs, histories and tables of items."""
