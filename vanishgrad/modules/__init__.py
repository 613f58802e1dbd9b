"""The torch ground: weight matrices of a module, norms, tensors side by side, what a network shows."""
