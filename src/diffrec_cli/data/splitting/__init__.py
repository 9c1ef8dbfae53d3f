"""From a log to the train, valid and test parts of a dataset."""
