"""Sample logs and public logs."""
