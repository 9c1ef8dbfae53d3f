"""The command line: parse, call one workflow, render. Only this room prints."""
