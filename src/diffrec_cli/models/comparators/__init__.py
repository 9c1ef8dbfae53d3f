"""The models that the paper compares DiffRec with (section 4.1.2), trained by the same loop."""
