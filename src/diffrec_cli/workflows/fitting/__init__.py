"""What the workflows that train models share: the plan, training, run directories."""
