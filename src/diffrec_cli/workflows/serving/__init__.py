"""What the workflows that make lists share: histories, filters, tables."""
