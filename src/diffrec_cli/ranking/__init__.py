"""From scores to top-K lists: blocks of the catalogue, reranking, guidance, reasons."""
