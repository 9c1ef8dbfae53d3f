"""From scores to top-K lists: ranking in blocks, reranking, guidance, reasons."""
