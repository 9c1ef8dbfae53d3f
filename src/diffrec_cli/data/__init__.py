"""From a log file to a prepared dataset, without torch."""
