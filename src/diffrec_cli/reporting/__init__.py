"""Pages and pictures of results. Only the command line asks for them."""
