"""What the workflows that try many settings share: trials, kept and measured apart."""
