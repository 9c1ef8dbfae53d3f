"""From a log file to a prepared dataset; no torch in this room."""
